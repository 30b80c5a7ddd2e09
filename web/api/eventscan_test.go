package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// odd are events that the quick reader must read as encoding/json does, or
// leave to it.
var odd = []string{
	`{"id":"1","type":"x","org":"acme","data":{"pages":12,"format":"p,d}f\"]"}}`,
	"{ \"id\" : \"1\" ,\n\t\"type\":\"x\" , \"data\" : null }", `{}`, `{ }`, `7`, `null`, `"text"`, `[]`, `[{"id":"1"}]`, `true`, `-1.5e+3`,
	`{"ID":"1","Type":"x"}`, `{"id":"1","ID":"2"}`, `{"id":"1","id":"2"}`, `{"id":"2","data":1,"data":{"a":[1,{"b":"]}"}]}}`,
	`{"id":"a\"b","type":"x\\"}`, `{"id":"ü","type":"\u00fc"}`, "{\"id\":\"\xff\",\"type\":\"x\"}", "{\"id\":\"a\xffb\"}",
	`{"id":7}`, `{"id":null,"type":"x"}`, `{"id":{"a":1}}`, `{"id":["1"]}`, `{"data":"text","id":"1"}`, `{"data": [1, 2] ,"id":"1"}`,
	`{"unknown":{"id":"2"},"id":"1"}`, `{"key":"k","time":"2026-11-24T12:00:00Z","source":"s","subject":"t","specversion":"1.0","id":"","type":""}`,
	`{"":"1"}`, `{"i\u0064":"1"}`, `{"data":"\\","id":"1"}`, `{"data":12 ,"id":"1"}`, `{"data":true}`,
}

func sameEvent(t *testing.T, raw string, got readEvent) {
	t.Helper()
	if want := readOne([]byte(raw)); !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nis read as %+v,\nwant          %+v", raw, got, want)
	}
}

func TestTheQuickReaderReadsAsEncodingJSON(t *testing.T) {
	for _, blank := range []string{"", " ", "\r\n\t "} {
		body := blank + "[" + blank + strings.Join(odd, blank+","+blank) + blank + "]" + blank
		if !json.Valid([]byte(body)) {
			t.Fatal("the test's own body is no JSON")
		}
		list, err := scanEvents([]byte(body))
		if err != nil || len(list) != len(odd) {
			t.Fatalf("%d events of %d, %v", len(list), len(odd), err)
		}
		for i, raw := range odd {
			sameEvent(t, raw, list[i])
		}
	}
	long := `{"id":"` + strings.Repeat("x", maxEventLength) + `"}`
	list, err := scanEvents([]byte("[" + long + "," + odd[0] + "]"))
	if err != nil || len(list) != 2 {
		t.Fatal(len(list), err)
	}
	sameEvent(t, long, list[0])
	sameEvent(t, odd[0], list[1])
}

// TestTheUsualEventIsReadQuickly: or the quick reader were for nothing.
func TestTheUsualEventIsReadQuickly(t *testing.T) {
	for _, raw := range []string{odd[0], odd[1], odd[26]} {
		var e plainEvent
		if !scanPlain([]byte(raw), &e, &plainEvent{}) {
			t.Errorf("%s is left to encoding/json", raw)
		}
	}
}

func FuzzEventsAreReadAsEncodingJSON(f *testing.F) {
	for _, raw := range odd {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		body := "[" + raw + "]"
		trimmed := strings.Trim(raw, " \t\r\n")
		if !json.Valid([]byte(raw)) || !json.Valid([]byte(body)) {
			return
		}
		list, err := scanEvents([]byte(body))
		if err != nil || len(list) != 1 {
			t.Fatal(len(list), err)
		}
		sameEvent(t, trimmed, list[0])
	})
}
