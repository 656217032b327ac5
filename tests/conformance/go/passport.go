package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"judge/mpt"

	"golang.org/x/mod/sumdb/tlog"
)

// An object is one of JSON, its numbers as they are written.
type object = map[string]any

type passport struct {
	V          int
	Type       string
	Subject    string
	Checkpoint string
	MapHead    struct {
		Entry string
		Proof []string
	}
	Subjects []struct {
		URI   string
		Links []object
		Value *struct {
			Count, Index uint64
			Head, Root   string
		}
		Map       string
		Inclusion []string
		Absence   *string
	}
	Seals  []object
	Events []struct {
		Event object
		Seal  *int
		Leaf  int64
		Path  []string
	}
	Policy *string
	// Left out by this platform: forks, succession, anchors. One that comes is not known here.
}

// judgePassport follows a bundle from its checkpoint down to its events: note.Open, CheckRecord,
// VerifyLookup, RecordHash. Signatures of seals are not looked at: a seal is reached by its hash.
func (l *log) judgePassport(data []byte) error {
	var p passport
	if err := canonical(data); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return err
	}
	if err := names(data); err != nil {
		return err
	}
	if p.V != 1 || p.Type != "prov:Passport" || len(p.Subjects) == 0 || p.Subjects[0].URI != p.Subject {
		return errors.New("no passport of its first subject")
	}
	if p.Policy != nil && *p.Policy != string(l.files["policy.txt"]) {
		return errors.New("another policy is proposed")
	}
	tree, err := l.openCheckpoint([]byte(p.Checkpoint))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	snap, err := p.mapHead(tree)
	if err != nil {
		return fmt.Errorf("map head: %w", err)
	}
	sealOf := map[string]string{} // event hash to seal hash, as the links have it
	for i := range p.Subjects {
		if err := p.subject(i, tree, snap, sealOf); err != nil {
			return fmt.Errorf("subject %d: %w", i, err)
		}
	}
	if err := p.events(sealOf); err != nil {
		return err
	}
	return p.absentLots()
}

// absentLots: a subject is shown to be absent only where an event of the passport's item names it,
// by its lot; that of another lot would be as true and say nothing.
func (p *passport) absentLots() error {
	product, _, _ := strings.Cut(p.Subject, "/21/")
	named := map[string]bool{}
	for _, e := range p.Events {
		if members, present := e.Event["ilmd"].(object); present {
			named[fmt.Sprint(product, "/10/", members["cbvmda:lotNumber"])] = true
		}
	}
	for _, s := range p.Subjects {
		if s.Absence != nil && !named[s.URI] {
			return fmt.Errorf("%s is absent, and nobody asked", s.URI)
		}
	}
	return nil
}

// names: encoding/json takes "Leaf" for "leaf", the format does not.
func names(data []byte) error {
	var top struct {
		MapHead          object
		Subjects, Events []object
	}
	var all object
	if err := errors.Join(json.Unmarshal(data, &all), json.Unmarshal(data, &top)); err != nil {
		return err
	}
	objects := append(append(top.Subjects, top.Events...), all, top.MapHead)
	for _, subject := range top.Subjects {
		if value, present := subject["value"].(object); present {
			objects = append(objects, value)
		}
	}
	for _, one := range objects {
		for name := range one {
			if !slices.Contains(known, name) {
				return fmt.Errorf("a member %q", name)
			}
		}
	}
	return nil
}

var known = strings.Fields("v type subject checkpoint mapHead subjects seals events policy entry proof " +
	"uri links value map inclusion absence count head root index event seal leaf path")

// canonical: the bytes are those that the parsed value is written in (RFC 8785, for our values).
func canonical(data []byte) error {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	if !bytes.Equal(encode(value), bytes.TrimSuffix(data, []byte("\n"))) {
		return errors.New("not canonical")
	}
	return nil
}

func encode(value any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

func hashOf(value any) string {
	hash := tlog.RecordHash(encode(value))
	return base64.StdEncoding.EncodeToString(hash[:])
}

func (p *passport) mapHead(tree tlog.Tree) (mpt.Snapshot, error) {
	path, err := parseHashes(p.MapHead.Proof)
	if err != nil {
		return mpt.Snapshot{}, err
	}
	entry := []byte(p.MapHead.Entry)
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, tree.N-1, tlog.RecordHash(entry)); err != nil {
		return mpt.Snapshot{}, err
	}
	lines := bytes.Split(entry, []byte("\n"))
	if len(lines) != 7 {
		return mpt.Snapshot{}, errors.New("not six lines")
	}
	root, err := tlog.ParseHash(string(lines[2]))
	return mpt.Snapshot{Hash: mpt.Hash(root)}, err
}

func (p *passport) subject(i int, tree tlog.Tree, snap mpt.Snapshot, sealOf map[string]string) error {
	s := p.Subjects[i]
	name := binary.BigEndian.AppendUint16([]byte("prov/map-key/v1\x00"), uint16(len(s.URI)))
	sum := sha256.Sum256(append(append(name, s.URI...), 0))
	key := sum[:]
	if s.Absence != nil {
		proof, err := base64.StdEncoding.Strict().DecodeString(*s.Absence)
		if err != nil {
			return err
		}
		return mpt.VerifyNotPresent(snap, key, proof)
	}
	if s.Value == nil || len(s.Links) == 0 {
		return errors.New("neither a value nor its absence")
	}
	proof, err := base64.StdEncoding.Strict().DecodeString(s.Map)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(append(slices.Clone(s.Inclusion), s.Value.Head, s.Value.Root))
	if err != nil {
		return err
	}
	last := len(hashes) - 2
	head, root := hashes[last], hashes[last+1]
	value := mapValue(s.Value.Count, head, root, s.Value.Index)
	if err := mpt.VerifyPresent(snap, key, value, proof); err != nil {
		return fmt.Errorf("map: %w", err)
	}
	if err := tlog.CheckRecord(hashes[:last], tree.N, tree.Hash, int64(s.Value.Index), head); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	var leaves []tlog.Hash
	for _, link := range s.Links {
		leaves = append(leaves, tlog.RecordHash(encode(link)))
		sealOf[fmt.Sprint(link["event"])] = fmt.Sprint(link["seal"])
	}
	if uint64(len(leaves)) != s.Value.Count || treeOf(leaves) != root {
		return errors.New("the links are not all of the subject's")
	}
	return nil
}

func (p *passport) events(sealOf map[string]string) error {
	used := map[int]bool{}
	for i, e := range p.Events {
		hash := tlog.RecordHash(encode(e.Event))
		seal, linked := sealOf[hash.String()]
		if !linked {
			return fmt.Errorf("no link of event %d", i)
		}
		if e.Seal == nil {
			if seal != hash.String() {
				return fmt.Errorf("event %d is not its own seal", i)
			}
			continue
		}
		if *e.Seal < 0 || *e.Seal >= len(p.Seals) || hashOf(p.Seals[*e.Seal]) != seal {
			return fmt.Errorf("seal of event %d", i)
		}
		used[*e.Seal] = true
		if err := underSeal(p.Seals[*e.Seal], e.Path, e.Leaf, hash); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	if len(used) != len(p.Seals) {
		return errors.New("a seal without events")
	}
	return nil
}

func underSeal(seal object, path []string, leaf int64, hash tlog.Hash) error {
	hashes, err := parseHashes(append(slices.Clone(path), fmt.Sprint(seal["root"])))
	if err != nil {
		return err
	}
	number, _ := seal["size"].(json.Number)
	size, err := number.Int64()
	if err != nil {
		return err
	}
	last := len(hashes) - 1
	return tlog.CheckRecord(hashes[:last], size, hashes[last], leaf, hash)
}
