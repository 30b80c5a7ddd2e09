package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/app"
)

// encryptionKeyName is the file of the data directory with the generated key.
const encryptionKeyName = "encryption.key"

// installationKey returns the 32 bytes that seal secrets at rest: the
// configured ones, or those of the data directory, made there at the first
// start with mode 0600.
func installationKey(config *Config) ([]byte, error) {
	if config.EncryptionKey != "" {
		return decodeKey(config.EncryptionKey)
	}
	path := config.Path(encryptionKeyName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = makeKeyFile(path)
	}
	if err != nil {
		return nil, keyError(path, err)
	}
	key, err := decodeKey(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil, keyError(path, err)
	}
	return key, nil
}

// makeKeyFile writes a fresh key; when another process is first, its key counts.
func makeKeyFile(path string) ([]byte, error) {
	key := make([]byte, app.SealKeySize)
	rand.Read(key) // never fails: crypto/rand aborts the program instead
	raw := []byte(base64.StdEncoding.EncodeToString(key) + "\n")
	draft, err := os.CreateTemp(filepath.Dir(path), encryptionKeyName+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(raw)
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err != nil {
		return nil, err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

func decodeKey(word string) ([]byte, error) {
	if key, err := hex.DecodeString(word); err == nil && len(key) == app.SealKeySize {
		return key, nil
	}
	key, err := base64.StdEncoding.DecodeString(word)
	if err == nil && len(key) != app.SealKeySize {
		err = errors.New("it does not hold 32 bytes")
	}
	return key, err
}

func keyError(path string, err error) *app.Error {
	return &app.Error{Kind: app.KindInvalid, Code: "encryption_key", Err: err,
		Message: "The encryption key in " + path + " cannot be used: " + err.Error() + ".",
		Advice:  "Restore the file from a backup, or name the key with GATEHOUSE_ENCRYPTION_KEY_FILE."}
}
