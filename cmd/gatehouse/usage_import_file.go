package main

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
)

// eventFile gives a file's events one by one, and io.EOF after the last.
type eventFile interface {
	next() (json.RawMessage, error)
}

func newEventFile(path string, from io.Reader) eventFile {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return &csvEvents{in: csv.NewReader(from)}
	case ".json":
		return &jsonEvents{in: json.NewDecoder(from), array: true}
	}
	return &jsonEvents{in: json.NewDecoder(from)}
}

// jsonEvents reads JSON documents, one after the other or in one array.
type jsonEvents struct {
	in           *json.Decoder
	array, begun bool
}

func (f *jsonEvents) next() (raw json.RawMessage, err error) {
	if f.array && !f.begun {
		if _, err = f.in.Token(); err != nil {
			return nil, err
		}
		f.begun = true
	}
	if f.array && !f.in.More() {
		if _, err = f.in.Token(); err == nil {
			err = io.EOF
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF // the array does not end
		}
		return nil, err
	}
	err = f.in.Decode(&raw)
	return raw, err
}

// csvEvents reads rows below a header.
type csvEvents struct {
	in     *csv.Reader
	header []string
}

// next makes an event of a row: attributes by their names, data of the rest.
// An empty cell is left out.
func (f *csvEvents) next() (json.RawMessage, error) {
	row, err := f.in.Read()
	if err == nil && f.header == nil {
		f.header = row
		row, err = f.in.Read()
	}
	if err != nil {
		return nil, err
	}
	event, data := map[string]any{}, map[string]string{}
	for i, name := range f.header {
		if row[i] == "" {
			continue
		}
		switch name {
		case "id", "type", "source", "time", "org", "key", "subject":
			event[name] = row[i]
		default:
			data[strings.TrimPrefix(name, "data.")] = row[i]
		}
	}
	if len(data) > 0 {
		event["data"] = data
	}
	return json.Marshal(event)
}
