package console_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"gatehouse/app/traffic"
	"gatehouse/web/ui"
)

func TestNumbersArriveWithoutAReload(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.settle()
	p.js("window.stayed = true; 0", nil)
	served := p.text(".strip > div:last-child .figure")
	org, err := s.store.OrgBySlug(p.ctx, "acme-robotics")
	s.must(err)
	for range 60_000 {
		s.recorder.Observe(s.recorder.Org(org.ID), traffic.Allowed, time.Millisecond, time.Microsecond)
	}
	s.recorder.Tick()
	p.until("document.querySelector('.strip > div:last-child .figure').innerText !== " + quote(served) + " && window.stayed")
	p.until("document.querySelector('td.title .name').textContent === 'Acme Robotics'") // it is the busiest now
	p.clean()
}

func quote(text string) string { return "`" + strings.ReplaceAll(text, "`", "") + "`" }

func TestAListDoesNotMoveUnderTheHand(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.settle()
	first := p.text("td.title .name")
	p.js("document.querySelector('td.title a.name').focus(); 0", nil)
	org, err := s.store.OrgBySlug(p.ctx, "lumen-press")
	s.must(err)
	served := p.text(".strip > div:last-child .figure")
	for range 90_000 {
		s.recorder.Observe(s.recorder.Org(org.ID), traffic.Allowed, time.Millisecond, time.Microsecond)
	}
	s.recorder.Tick()
	p.until("document.querySelector('.strip > div:last-child .figure').innerText !== " + quote(served))
	if now := p.text("td.title .name"); now != first {
		t.Errorf("while its first row has the focus, the list moved: %q is now %q", first, now)
	}
	p.js("document.activeElement.blur(); 0", nil)
	p.until("document.querySelector('td.title .name').textContent === 'Lumen Press'")
	p.clean()
}

func TestThePageSaysThatItIsStale(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.settle()
	s.deaf.Store(true)
	s.cut()
	p.until("document.querySelector('#live').dataset.state === 'stale' && !document.querySelector('#stale').hidden")
	p.check("a stale page")
	p.keep("stale-light", 900)
	s.deaf.Store(false)
	p.until("document.querySelector('#live').dataset.state === 'live' && document.querySelector('#stale').hidden")
}

func TestABrokenCheckShowsAtOnce(t *testing.T) {
	s := newStage(t)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.open(ui.PathSystem)
	p.settle()
	s.breakLedger()
	p.until("document.querySelector('.side footer').innerText.includes('Not ready: ledger')")
	p.until("document.querySelector('main').innerText.includes('Free some space')")
	p.check("a failed check")
	p.clean()
}

// streams counts the streams that the tabs have asked for.
func streams(tabs ...*tab) (n int) {
	for _, p := range tabs {
		p.mu.Lock()
		for _, asked := range p.asked {
			if strings.Contains(asked, ui.PathEvents) {
				n++
			}
		}
		p.mu.Unlock()
	}
	return n
}

func TestTabsShareOneStream(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	b := openBrowser(t)
	first := b.tab(t, s.url)
	first.signIn(s)
	first.settle()
	var others []*tab
	for range 3 {
		p := b.tab(t, s.url)
		p.open(ui.PathOverview)
		p.settle()
		others = append(others, p)
	}
	if n := streams(others...); n != 0 {
		t.Errorf("tabs that show the same opened %d streams of their own", n)
	}
	different := b.tab(t, s.url)
	different.open(ui.PathSystem)
	different.settle()
	s.breakLedger()
	different.until("document.querySelector('main').innerText.includes('Free some space')")
	if n := streams(append(others, different)...); n != 0 {
		t.Errorf("a tab that shows something else opened %d streams", n)
	}
	for _, p := range append(others, first, different) {
		p.clean()
	}
}

func TestAHiddenTabLetsGoOfTheStream(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.settle()
	p.do(emulation.SetFocusEmulationEnabled(true))
	p.js(`Object.defineProperty(document, "hidden", {get: () => window.away}); window.away = true; document.dispatchEvent(new Event("visibilitychange")); 0`, nil)
	before := streams(p)
	p.js(`window.away = false; document.dispatchEvent(new Event("visibilitychange")); 0`, nil)
	p.until("document.querySelector('#live').dataset.state === 'live'")
	for streams(p) == before {
		p.js("new Promise(done => setTimeout(done, 50))", nil)
	}
	p.clean()
}

func TestTheStreamEndsWithItsSession(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	request, err := http.NewRequest("GET", s.url+ui.PathEvents+"?topics=gate,nothing,overview.1h", nil)
	s.must(err)
	response, err := c.http.Do(request)
	s.must(err)
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("Content-Type %q", kind)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (name string) {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				return text
			}
		}
		return ""
	}
	for _, want := range []string{"parts", "parts", "beat"} {
		if got := next(); got != want {
			t.Fatalf("came %q, want %q", got, want)
		}
	}
	c.post(ui.PathSignOut)
	s.shift.Store(int64(20 * time.Second)) // the stream asks for its session again
	for name := next(); name != "bye"; name = next() {
		if name == "" {
			t.Fatal("the stream ended without a word")
		}
	}
	if next() != "" {
		t.Error("the stream goes on")
	}
}

func TestAStrangersStreamSaysGoodbye(t *testing.T) {
	s := newStage(t)
	a := s.stranger().get(ui.PathEvents, "Accept", "text/event-stream")
	if a.status != 200 || !strings.Contains(a.body, "event: bye") || strings.Contains(a.body, "parts") {
		t.Errorf("answered %d: %s", a.status, a.body)
	}
}
