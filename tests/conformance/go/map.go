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
	"strconv"
	"strings"

	"judge/mpt"

	"golang.org/x/mod/sumdb/tlog"
)

// A state is what the map commits to for one subject: its own tree as a list of link hashes.
type state struct {
	links []tlog.Hash
	index int64 // of the newest link, in the log
}

// A mapHead is an entry that commits to the map, and the step of the map that it ends.
type mapHead struct {
	before mpt.Snapshot
	named  map[string]*state // the old state of each subject that a link of the step names, or nil
}

type link struct {
	Event, Key, Seal, Time string
	Prev                   *string
	Seq                    int64
	V                      int
}

// replayMap puts every link into torchwood's tree and compares its root with ours at each map head;
// torchwood's TreeHash over all items gives it a second time.
func (l *log) replayMap() error {
	tree, states := mpt.NewMemTree(), map[string]*state{}
	values := map[string][]byte{}
	l.heads = map[int64]*mapHead{}
	before := mpt.Snapshot{Hash: mpt.EmptyTreeHash()}
	step := &mapHead{before, map[string]*state{}}
	for i, entry := range l.entries {
		index := int64(i)
		if entry[0] == '{' {
			if err := applyLink(states, step, entry, index); err != nil {
				return fmt.Errorf("entry %d: %w", i, err)
			}
			continue
		}
		for key := range step.named {
			if states[key] == nil {
				continue
			}
			values[key] = states[key].value()
			if err := tree.Set([]byte(key), values[key]); err != nil {
				return err
			}
		}
		snap, err := tree.Snap(index)
		if err != nil {
			return err
		}
		if err := checkHead(entry, snap, values, index); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		l.heads[index] = step
		step = &mapHead{snap, map[string]*state{}}
	}
	return nil
}

func applyLink(states map[string]*state, step *mapHead, entry []byte, index int64) error {
	var found link
	if err := json.Unmarshal(entry, &found); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(found.Key)
	if err != nil {
		return err
	}
	key := string(raw)
	old := states[key]
	if _, known := step.named[key]; !known {
		step.named[key] = old
	}
	if old == nil {
		old = &state{}
	}
	prev := found.Prev == nil && len(old.links) == 0
	if found.Prev != nil && len(old.links) > 0 {
		prev = *found.Prev == base64.StdEncoding.EncodeToString(old.links[len(old.links)-1][:])
	}
	if !prev || found.Seq != int64(len(old.links)) {
		return nil // extends nothing: ignored
	}
	states[key] = &state{append(slices.Clip(old.links), tlog.RecordHash(entry)), index}
	return nil
}

func checkHead(entry []byte, snap mpt.Snapshot, values map[string][]byte, index int64) error {
	lines := strings.Split(string(entry), "\n")
	if len(lines) != 7 || lines[0] != "prov/map-head/v1" || lines[1] != strconv.FormatInt(index, 10) {
		return errors.New("no map head of this index")
	}
	if lines[2] != base64.StdEncoding.EncodeToString(snap.Hash[:]) || lines[3] != strconv.Itoa(len(values)) {
		return fmt.Errorf("the map's root is %v over %d subjects", snap.Hash, len(values))
	}
	var items []mpt.KeyVal
	for _, key := range slices.Sorted(mapKeys(values)) {
		items = append(items, mpt.KeyVal{Key: []byte(key), Val: values[key]})
	}
	if again := mpt.TreeHash(slices.Values(items)); again != snap.Hash {
		return fmt.Errorf("TreeHash gives %v", again)
	}
	return nil
}

// value is the map value of docs/formats.md section 6, the subject's root computed by x/mod.
func (s *state) value() []byte {
	return mapValue(uint64(len(s.links)), s.links[len(s.links)-1], treeOf(s.links), uint64(s.index))
}

func mapValue(count uint64, head, root tlog.Hash, index uint64) []byte {
	data := binary.BigEndian.AppendUint64([]byte("prov/map-val/v1\x00"), count)
	data = binary.BigEndian.AppendUint64(slices.Concat(data, head[:], root[:]), index)
	sum := sha256.Sum256(data)
	return sum[:]
}

// treeOf is the root over leaf hashes: x/mod stores them one by one, then reads the tree.
func treeOf(leaves []tlog.Hash) tlog.Hash {
	var stored memory
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), leaf, stored)
		if err != nil {
			return tlog.Hash{}
		}
		stored = append(stored, hashes...)
	}
	root, _ := tlog.TreeHash(int64(len(leaves)), stored)
	return root
}

type memory []tlog.Hash

func (m memory) ReadHashes(places []int64) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, place := range places {
		if place < 0 || place >= int64(len(m)) {
			return nil, fmt.Errorf("no stored hash %d", place)
		}
		all = append(all, m[place])
	}
	return all, nil
}

type mapProof struct{ Root, Key, Value, Proof string } // base64; no value: absent

func (l *log) checkMapProof(one mapProof) error {
	var raw [4][]byte
	for i, text := range []string{one.Root, one.Key, one.Value, one.Proof} {
		var err error
		if raw[i], err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return err
		}
	}
	if len(raw[0]) != 32 {
		return errors.New("a root is 32 bytes")
	}
	snap := mpt.Snapshot{Hash: mpt.Hash(raw[0])}
	return mpt.VerifyLookup(snap, raw[1], raw[2], one.Value != "", raw[3])
}

// judgeDelta checks the file beside a map head. torchwood's VerifyLookup judges: for every key that
// the step names, the path through our transition proof must show exactly the old state (or that
// there was none) under the old root. Every byte of the proof is in the path of some key.
func (l *log) judgeDelta(index int64, data []byte) error {
	head := l.heads[index]
	magic := binary.BigEndian.AppendUint64([]byte("prov/map-delta/v1\n"), uint64(index))
	if head == nil || !bytes.HasPrefix(data, magic) || len(data) < len(magic)+4 {
		return errors.New("not the delta of this map head")
	}
	rest := data[len(magic):]
	states := int(binary.BigEndian.Uint32(rest))
	rest = rest[4:]
	seen := map[string][]byte{}
	last := ""
	for range states {
		key, value, after, err := cutState(rest)
		if err != nil || key <= last {
			return fmt.Errorf("state: %w", err)
		}
		seen[key], rest, last = value, after, key
	}
	found := map[string]leafAt{}
	if len(rest) > 0 {
		_, after, err := readTransition(rest, slices.Collect(mapKeys(head.named)), found, 0)
		if err != nil || len(after) != 0 {
			return fmt.Errorf("transition: %d bytes too many, %w", len(after), err)
		}
	} else if head.before.Hash != mpt.EmptyTreeHash() && len(head.named) > 0 {
		return errors.New("no transition")
	}
	return head.check(seen, found)
}

func (head *mapHead) check(seen map[string][]byte, found map[string]leafAt) error {
	for key, old := range head.named {
		leaf := found[key]
		if (old != nil) != (seen[key] != nil) {
			return fmt.Errorf("state of %x", key)
		}
		if old == nil {
			if err := mpt.VerifyNotPresent(head.before, []byte(key), leaf.absence()); err != nil {
				return err
			}
			continue
		}
		if !bytes.Equal(seen[key], old.value()) || leaf.key != key {
			return fmt.Errorf("value of %x", key)
		}
		if err := mpt.VerifyPresent(head.before, []byte(key), seen[key], leaf.steps); err != nil {
			return err
		}
	}
	for key := range seen {
		if _, named := head.named[key]; !named {
			return fmt.Errorf("state of %x, which no link names", key)
		}
	}
	return nil
}

// cutState reads one old state and computes its map value, the root from the edge by NodeHash.
func cutState(data []byte) (string, []byte, []byte, error) {
	if len(data) < 80 {
		return "", nil, nil, errors.New("ends inside")
	}
	key, count := string(data[:32]), binary.BigEndian.Uint64(data[32:])
	head, index := tlog.Hash(data[40:72]), binary.BigEndian.Uint64(data[72:])
	data = data[80:]
	var edge []tlog.Hash
	for bits := count; bits != 0; bits &= bits - 1 {
		if len(data) < 32 {
			return "", nil, nil, errors.New("ends inside an edge")
		}
		edge, data = append(edge, tlog.Hash(data[:32])), data[32:]
	}
	if len(edge) == 0 {
		return "", nil, nil, errors.New("a state without links")
	}
	root := edge[len(edge)-1]
	for i := len(edge) - 2; i >= 0; i-- {
		root = tlog.NodeHash(edge[i], root)
	}
	return key, mapValue(count, head, root, index), data, nil
}

// A leafAt is where a search ended: an entry, and the way up from it in torchwood's form.
type leafAt struct {
	key   string
	value []byte
	steps mpt.Proof
}

func (l leafAt) absence() mpt.Proof {
	if l.key == "" {
		return nil // the empty map
	}
	return slices.Concat([]byte{32}, []byte(l.key), []byte{32}, l.value, l.steps)
}

// readTransition reads one node of our preorder form; found gets the end of each key's search. Its
// hash here only makes the siblings for VerifyLookup, which computes them all again.
func readTransition(data []byte, keys []string, found map[string]leafAt, depth int) ([]byte, []byte, error) {
	if len(data) < 33 || depth > 256 {
		return nil, nil, errors.New("ends inside")
	}
	switch {
	case data[0] == 2 && len(keys) == 0:
		return data[1:33], data[33:], nil
	case data[0] == 0 && len(keys) > 0 && len(data) >= 65:
		for _, key := range keys {
			found[key] = leafAt{key: string(data[1:33]), value: data[33:65]}
		}
		sum := sha256.Sum256(slices.Concat([]byte{0, 32}, data[1:33], []byte{32}, data[33:65]))
		return sum[:], data[65:], nil
	case data[0] == 1 && len(keys) > 0:
		return readInner(data[1:], keys, found, depth)
	}
	return nil, nil, errors.New("no node that a search enters")
}

func readInner(data []byte, keys []string, found map[string]leafAt, depth int) ([]byte, []byte, error) {
	bit, n := binary.Uvarint(data)
	if n <= 0 || bit > 255 {
		return nil, nil, errors.New("no bit")
	}
	var sides [2][]string
	for _, key := range keys {
		side := key[bit/8] >> (7 - bit%8) & 1
		sides[side] = append(sides[side], key)
	}
	varint, rest := data[:n], data[n:]
	var hashes [2][]byte
	for side := range sides {
		var err error
		if hashes[side], rest, err = readTransition(rest, sides[side], found, depth+1); err != nil {
			return nil, nil, err
		}
	}
	for side := range sides {
		for _, key := range sides[side] {
			leaf := found[key]
			leaf.steps = slices.Concat(leaf.steps, varint, hashes[1-side])
			found[key] = leaf
		}
	}
	sum := sha256.Sum256(slices.Concat([]byte{1}, varint, hashes[0], hashes[1]))
	return sum[:], rest, nil
}
