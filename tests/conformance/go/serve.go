package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"

	witness "github.com/transparency-dev/witness/client/http"
	"golang.org/x/crypto/ssh/agent"
)

// serveAgent holds the key of a litewitness under test, which signs through an ssh-agent only.
func serveAgent(socket, seed string) error {
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		return fmt.Errorf("a seed is 32 bytes in hex: %w", err)
	}
	keys := agent.NewKeyring()
	key := ed25519.NewKeyFromSeed(raw)
	if err := keys.Add(agent.AddedKey{PrivateKey: &key}); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go agent.ServeAgent(keys, conn)
	}
}

// feed sends a checkpoint with its proof as the reference witness client does, and prints the
// cosignature lines that it took from the answer.
func feed(address, old, file string) error {
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	size, err := strconv.ParseUint(old, 10, 64)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, checkpoint, _ := bytes.Cut(data, []byte("\n\n"))
	var texts []string
	for _, line := range bytes.Split(head, []byte("\n"))[1:] {
		texts = append(texts, string(line))
	}
	hashes, err := parseHashes(texts)
	if err != nil {
		return err
	}
	var proof [][]byte
	for _, hash := range hashes {
		proof = append(proof, hash[:])
	}
	client := witness.NewWitness(target, http.DefaultClient)
	lines, at, err := client.Update(context.Background(), size, checkpoint, proof)
	if err != nil {
		return fmt.Errorf("%w (the witness says it is at %d)", err, at)
	}
	fmt.Print(string(lines))
	return nil
}
