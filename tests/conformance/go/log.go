package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A log is one mirrored log whose checkpoint has been opened and whose tree has been read.
type log struct {
	files   map[string][]byte
	keys    []note.Verifier // the log's first; by transparency-dev/formats
	again   []note.Verifier // the same by torchwood
	tree    tlog.Tree
	entries [][]byte
	hashes  []tlog.Hash // of the leaves, authenticated by the tree
	heads   map[int64]*mapHead
}

func newLog(files map[string][]byte) (*log, error) {
	l := &log{files: files}
	for _, line := range strings.Fields(string(files["keys.txt"])) {
		key, err := formats.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		again, err := torchwood.NewLogVerifier(line)
		if err != nil {
			again, err = torchwood.NewCosignatureVerifier(line)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		l.keys, l.again = append(l.keys, key), append(l.again, again)
	}
	tree, err := l.openCheckpoint(files["checkpoint"])
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	l.tree = tree
	if err := l.readEntries(); err != nil {
		return nil, err
	}
	return l, l.replayMap()
}

// openCheckpoint demands a good line of every key, no line of anybody else, and that the note is
// written in the one way in which notes are written.
func (l *log) openCheckpoint(data []byte) (tlog.Tree, error) {
	opened, err := note.Open(data, note.VerifierList(l.keys...))
	if err != nil {
		return tlog.Tree{}, err
	}
	if _, err := note.Open(data, note.VerifierList(l.again...)); err != nil {
		return tlog.Tree{}, err
	}
	if len(opened.Sigs) != len(l.keys) || len(opened.UnverifiedSigs) != 0 {
		return tlog.Tree{}, fmt.Errorf("%d keys, good lines %d, unknown %d", len(l.keys), len(opened.Sigs), len(opened.UnverifiedSigs))
	}
	text := opened.Text + "\n"
	for _, sig := range opened.Sigs {
		raw, err := base64.StdEncoding.Strict().DecodeString(sig.Base64)
		if err != nil {
			return tlog.Tree{}, err
		}
		text += "— " + sig.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	if text != string(data) {
		return tlog.Tree{}, errors.New("the note is not written in the one way")
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != l.keys[0].Name() {
		return tlog.Tree{}, errors.New("not the three lines of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// readEntries hashes every entry of the bundles that the size implies, and compares each with the
// leaf that x/mod reads, authenticated, out of the tiles; TreeHash computes the root from them.
func (l *log) readEntries() error {
	for n := int64(0); n*256 < l.tree.N; n++ {
		path := entriesPath(n, int(min(256, l.tree.N-n*256)))
		entries, err := splitBundle(l.files[path])
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		l.entries = append(l.entries, entries...)
	}
	if int64(len(l.entries)) != l.tree.N {
		return fmt.Errorf("%d entries in a log of %d", len(l.entries), l.tree.N)
	}
	reader := tlog.TileHashReader(l.tree, &tiles{files: l.files})
	root, err := tlog.TreeHash(l.tree.N, reader)
	if err != nil || root != l.tree.Hash {
		return fmt.Errorf("root from the tiles: %v, %w", root, err)
	}
	if l.hashes, err = readHashes(reader, 0, 0, int(l.tree.N)); err != nil {
		return err
	}
	for i, entry := range l.entries {
		if tlog.RecordHash(entry) != l.hashes[i] {
			return fmt.Errorf("entry %d is not the leaf", i)
		}
	}
	return nil
}

// judge says what kind of file stands at path, and what is wrong if it had these bytes.
func (l *log) judge(path string, data []byte) (string, error) {
	kind, rest, _ := strings.Cut(path, "/")
	switch {
	case path == "checkpoint":
		tree, err := l.openCheckpoint(data)
		if err == nil && tree != l.tree {
			err = errors.New("another tree")
		}
		return path, err
	case strings.HasPrefix(path, "tile/entries/"):
		return "bundle", l.judgeBundle(path, data)
	case kind == "tile":
		return "tile", l.judgeTile(path, data)
	case strings.HasPrefix(path, "map/delta/"):
		index, _, err := parseIndex(strings.TrimPrefix(rest, "delta/"))
		if err == nil {
			err = l.judgeDelta(index, data)
		}
		return "delta", err
	case kind == "passports":
		return "passport", l.judgePassport(data)
	case kind == "receipts":
		return "receipt", l.judgeReceipt(data)
	}
	return "ours", nil
}

func (l *log) judgeBundle(path string, data []byte) error {
	index, width, err := parseIndex(strings.TrimPrefix(path, "tile/entries/"))
	if err != nil {
		return err
	}
	entries, err := splitBundle(data)
	if err != nil || len(entries) != width {
		return fmt.Errorf("framing: %d entries, %w", len(entries), err)
	}
	for i, entry := range entries {
		if tlog.RecordHash(entry) != l.hashes[index*256+int64(i)] {
			return fmt.Errorf("entry %d is not the leaf", index*256+int64(i))
		}
	}
	return nil
}

// judgeTile lets TileHashReader authenticate every hash of the tile, with this tile in its place.
// An older partial tile is not read by it any more: its bytes must be the hashes that are.
func (l *log) judgeTile(path string, data []byte) error {
	level, rest, _ := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
	height, err := strconv.Atoi(level)
	if err != nil {
		return err
	}
	index, width, err := parseIndex(rest)
	if err != nil || len(data) != width*tlog.HashSize {
		return fmt.Errorf("length %d, %w", len(data), err)
	}
	reader := tlog.TileHashReader(l.tree, &tiles{files: l.files, path: path, data: data})
	hashes, err := readHashes(reader, 8*height, index*256, width)
	if err != nil {
		return err
	}
	for i, hash := range hashes {
		if !bytes.Equal(hash[:], data[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
			return fmt.Errorf("hash %d", i)
		}
	}
	return nil
}

// judgeReceipt has torchwood verify a tlog-proof under the policy that the platform proposes, which
// its own reader of policies reads. The record is the entry that the receipt brings along; written
// again by torchwood's own function the file is the same.
func (l *log) judgeReceipt(data []byte) error {
	policy, err := torchwood.ParsePolicy(l.files["policy.txt"])
	if err != nil {
		return err
	}
	entry, err := torchwood.ProofExtraData(data)
	if err != nil {
		return err
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(entry), data); err != nil {
		return err
	}
	head, checkpoint, _ := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 {
		return errors.New("no header, extra and index")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	path, err := parseHashes(lines[3:])
	if err != nil {
		return err
	}
	again := torchwood.FormatProofWithExtraData(index, entry, path, []byte(checkpoint))
	if !bytes.Equal(again, data) {
		return errors.New("not written in the one way")
	}
	_, err = l.openCheckpoint([]byte(checkpoint))
	return err
}

// proofs checks the proofs that the platform made: CheckRecord for each, CheckTree, VerifyLookup.
func (l *log) proofs(data []byte, count map[string]int) error {
	var all struct {
		Inclusion []struct {
			Index, Size int64
			Root        string
			Path        []string
		}
		Consistency []struct {
			Old, New         int64
			OldRoot, NewRoot string
			Path             []string
		}
		Map []mapProof
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("proofs.json: %w", err)
	}
	for _, one := range all.Inclusion {
		path, err := parseHashes(append(one.Path, one.Root))
		if err != nil {
			return err
		}
		last := len(path) - 1
		if err := tlog.CheckRecord(path[:last], one.Size, path[last], one.Index, l.hashes[one.Index]); err != nil {
			return fmt.Errorf("inclusion of %d in %d: %w", one.Index, one.Size, err)
		}
		if bad := tlog.CheckRecord(path[:last], one.Size, path[last], one.Index, tlog.RecordHash([]byte("another"))); bad == nil {
			return errors.New("a proof for every leaf")
		}
		count["inclusion proof"]++
	}
	for _, one := range all.Consistency {
		path, err := parseHashes(append(one.Path, one.OldRoot, one.NewRoot))
		if err != nil {
			return err
		}
		last := len(path) - 2
		if err := tlog.CheckTree(path[:last], one.New, path[last+1], one.Old, path[last]); err != nil {
			return fmt.Errorf("consistency of %d and %d: %w", one.Old, one.New, err)
		}
		count["consistency proof"]++
	}
	for _, one := range all.Map {
		if err := l.checkMapProof(one); err != nil {
			return fmt.Errorf("map proof for %s: %w", one.Key, err)
		}
		count[map[bool]string{true: "presence proof", false: "absence proof"}[one.Value != ""]]++
	}
	return nil
}

// tiles is x/mod's view of our files: its "tile/8/<L>/…" is our "tile/<L>/…" (C2SP tlog-tiles).
type tiles struct {
	files map[string][]byte
	path  string // where data stands instead of the file
	data  []byte
}

func (t *tiles) Height() int { return 8 }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		data, known := t.files[path]
		if path == t.path {
			data = t.data
		}
		if !known {
			return nil, fmt.Errorf("%s is not served", path)
		}
		all = append(all, data)
	}
	return all, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func readHashes(reader tlog.HashReader, level int, first int64, width int) ([]tlog.Hash, error) {
	places := make([]int64, width)
	for i := range places {
		places[i] = tlog.StoredHashIndex(level, first+int64(i))
	}
	return reader.ReadHashes(places)
}

// splitBundle takes entries off until the bytes end: u16 length, then the entry.
func splitBundle(data []byte) ([][]byte, error) {
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("ends inside an entry")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	return entries, nil
}

func entriesPath(index int64, width int) string {
	tile := tlog.Tile{H: 8, L: 0, N: index, W: width}
	return "tile/entries/" + strings.TrimPrefix(tile.Path(), "tile/8/0/")
}

// parseIndex reads "x001/234.p/5" as 1234 and 5.
func parseIndex(text string) (int64, int, error) {
	tile, err := tlog.ParseTilePath("tile/8/0/" + text)
	return tile.N, tile.W, err
}

func parseHashes(texts []string) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil || hash.String() != text { // ParseHash passes over unused bits of base64
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		all = append(all, hash)
	}
	return all, nil
}

func mapKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
