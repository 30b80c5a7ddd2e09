package static

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAssetsAreServedForGoodUnderHashedNames(t *testing.T) {
	server := httptest.NewServer(New())
	defer server.Close()
	for _, name := range []string{CSS, JS, Font, Icon} {
		url := New().URL(name)
		answer, err := http.Get(server.URL + url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 200 || len(body) == 0 {
			t.Errorf("%s: status %d, %d bytes", url, answer.StatusCode, len(body))
		}
		if cache := answer.Header.Get("Cache-Control"); !strings.Contains(cache, "immutable") {
			t.Errorf("%s: Cache-Control %q", name, cache)
		}
		if name == CSS && !strings.Contains(string(body), New().URL(Font)) {
			t.Error("the style sheet does not load the font under its hashed name")
		}
	}
}

func TestAssetsKnowWhatTheBrowserHas(t *testing.T) {
	assets := New()
	request := httptest.NewRequest("GET", assets.URL(CSS), nil)
	first := httptest.NewRecorder()
	assets.ServeHTTP(first, request)
	request.Header.Set("If-None-Match", first.Header().Get("ETag"))
	again := httptest.NewRecorder()
	assets.ServeHTTP(again, request)
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("got %d with %d bytes, want 304 without any", again.Code, again.Body.Len())
	}
}

func TestUnknownAssetsAre404(t *testing.T) {
	for _, path := range []string{Prefix + CSS, Prefix, "/static/../static.go", "/static/console.000000000000.css"} {
		answer := httptest.NewRecorder()
		New().ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, answer.Code)
		}
	}
}

func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	for _, name := range []string{CSS, JS} {
		assets := New()
		for _, bad := range []string{"https://", "http://", "//cdn", "eval(", "@import"} {
			body := string(assets.byPath[assets.URL(name)].plain)
			body = strings.ReplaceAll(body, `"http://www.w3.org/2000/svg"`, "") // a name, not an address
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
	}
}
