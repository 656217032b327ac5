package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"judge/mpt"
)

// A vector is one case of either file: a root with the entries under it, or with a claim about a key.
type vector struct {
	Desc, Root, Key, Proof string
	Value                  *string
	Valid                  bool
	Entries                []struct{ Key, Value string }
}

func judgeVectors(treehash, lookup string) error {
	trees, err := readVectors(treehash)
	if err != nil {
		return err
	}
	for _, one := range trees {
		var items []mpt.KeyVal
		for _, entry := range one.Entries {
			items = append(items, mpt.KeyVal{Key: unhex(entry.Key), Val: unhex(entry.Value)})
		}
		slices.SortFunc(items, mpt.KeyVal.CompareKey)
		if root := mpt.TreeHash(slices.Values(items)); !bytes.Equal(root[:], unhex(one.Root)) {
			return fmt.Errorf("%s: root %v", one.Desc, root)
		}
	}
	claims, err := readVectors(lookup)
	if err != nil {
		return err
	}
	for _, one := range claims {
		var value []byte
		if one.Value != nil {
			value = unhex(*one.Value)
		}
		snap := mpt.Snapshot{Hash: mpt.Hash(unhex(one.Root))}
		err := mpt.VerifyLookup(snap, unhex(one.Key), value, one.Value != nil, unhex(one.Proof))
		if (err == nil) != one.Valid {
			return fmt.Errorf("%s: %w", one.Desc, err)
		}
	}
	fmt.Println(len(trees), len(claims))
	return nil
}

func readVectors(path string) ([]vector, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct{ Cases []vector }
	return file.Cases, json.Unmarshal(data, &file)
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return data
}
