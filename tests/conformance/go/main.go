// Judge checks a mirrored log of ours with code of others: golang.org/x/mod's sumdb/note and
// sumdb/tlog, the note verifiers of transparency-dev/formats and of torchwood, and torchwood's mpt.
// What is ours here only parses, and asks them.
//
//	judge log DIR [<mutations]   judges every file below DIR once as it is; then, for each line
//	                             "<path> <offset> <mask>" of the input, that file with the byte at
//	                             the offset xored: prints "-" if nobody objects, else why
//	judge mpt TREEHASH LOOKUP    torchwood's mpt over its own published cases, as JSON (which version
//	                             of it is this?): prints how many of both it agrees with
//	judge agent SOCKET SEED      an ssh-agent that holds one Ed25519 key (for litewitness)
//	judge feed URL OLD FILE      the reference witness client: FILE is an add-checkpoint request
//
// DIR holds what the log serves, under its own paths (checkpoint, tile/…, map/delta/…), and beside it
// keys.txt (verifier keys, the log's first), policy.txt, passports/*.json and proofs.json.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "log":
		return judgeLog(args[1])
	case len(args) == 3 && args[0] == "mpt":
		return judgeVectors(args[1], args[2])
	case len(args) == 3 && args[0] == "agent":
		return serveAgent(args[1], args[2])
	case len(args) == 4 && args[0] == "feed":
		return feed(args[1], args[2], args[3])
	}
	return fmt.Errorf("usage: judge log DIR | mpt TREEHASH LOOKUP | agent SOCKET SEED | feed URL OLD FILE")
}

func judgeLog(dir string) error {
	files, err := readAll(dir)
	if err != nil {
		return err
	}
	known, err := newLog(files)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, path := range slices.Sorted(mapKeys(files)) {
		kind, err := known.judge(path, files[path])
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		count[kind]++
	}
	if err := known.proofs(files["proofs.json"], count); err != nil {
		return err
	}
	out, _ := json.Marshal(count)
	fmt.Println(string(out))
	return judgeMutations(known, files)
}

// judgeMutations answers in the order of the input, working on it in parallel.
func judgeMutations(known *log, files map[string][]byte) error {
	var lines []string
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	answers := make([]string, len(lines))
	var group sync.WaitGroup
	workers := runtime.NumCPU()
	for worker := range workers {
		group.Go(func() {
			for i := worker; i < len(lines); i += workers {
				answers[i] = judgeMutation(known, files, lines[i])
			}
		})
	}
	group.Wait()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, answer := range answers {
		fmt.Fprintln(out, answer)
	}
	return in.Err()
}

func judgeMutation(known *log, files map[string][]byte, line string) string {
	var path string
	var offset int
	var mask byte
	if _, err := fmt.Sscan(line, &path, &offset, &mask); err != nil || offset >= len(files[path]) {
		return "- not understood: " + line
	}
	data := slices.Clone(files[path])
	data[offset] ^= mask
	if _, err := known.judge(path, data); err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return "-"
}

func readAll(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	return files, err
}
