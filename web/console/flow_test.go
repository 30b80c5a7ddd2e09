package console_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/ui"
)

// press sends keys to whatever has the focus.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// tabTo presses Tab until the focus is on what the selector means.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	for range 60 {
		var there bool
		p.js(fmt.Sprintf("document.activeElement?.matches(%q) ?? false", selector), &there)
		if there {
			return
		}
		p.press(kb.Tab)
	}
	p.t.Fatalf("Tab never comes to %s at %s", selector, p.path())
}

// at waits until the address begins so, and the page is there.
func (p *tab) at(path string) {
	p.t.Helper()
	p.until(fmt.Sprintf("(location.pathname + location.search).startsWith(%q) && document.readyState === 'complete'", path))
}

func TestFromAFreshInstallationToAKeyByKeyboardAlone(t *testing.T) {
	s := newStage(t)
	token, _, err := s.auth.ClaimLink(context.Background())
	s.must(err)
	p := openBrowser(t).tab(t, s.url)
	p.open(ui.Claim(token))
	p.press(ownerName + kb.Tab + ownerEmail + kb.Tab + ownerPassword + kb.Enter) // the first field has the focus
	p.at(ui.PathOverview)
	p.tabTo("#address")
	p.press("http://127.0.0.1:3000" + kb.Enter)
	p.until("!document.querySelector('#address')")
	p.tabTo("#name")
	p.press("Acme Robotics" + kb.Enter)
	p.at(ui.Keys("acme-robotics") + "/")
	p.tabTo("[data-copy=secret]")
	secret := p.text("#secret")
	if _, ok := keys.Parse(secret); !ok {
		t.Fatalf("the page shows %q", secret)
	}
	p.tabTo("#main a.btn")
	p.press(kb.Enter)
	p.until(fmt.Sprintf("location.pathname === %q", ui.Keys("acme-robotics")))
	routes, err := s.store.Routes(context.Background())
	s.must(err)
	if len(routes) != 1 || routes[0].Upstream != "app" {
		t.Errorf("the routes are %+v", routes)
	}
	p.clean()
}

func TestGoingBackDoesNotShowTheKeyAgain(t *testing.T) {
	s := newStage(t)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.open(ui.PathNewOrg)
	p.fill("#name", "Acme")
	p.follow("#main button[type=submit]")
	secret := p.text("#secret")
	if _, ok := keys.Parse(secret); !ok {
		t.Fatalf("the page shows %q", secret)
	}
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		for _, width := range []int64{390, 768, 1280} {
			p.size(width)
			p.check(fmt.Sprintf("a new key, %s, %d px", theme, width))
		}
		p.keep("key-shown-once-"+theme, 700)
	}
	p.follow("#main .actions a")
	for _, step := range []string{"history.back()", "history.forward()", "history.back()", "location.reload()"} {
		p.js(step, nil)
		p.until("document.readyState === 'complete'")
		p.until(fmt.Sprintf("!document.documentElement.outerHTML.includes(%q)", secret))
	}
	p.until("document.body.innerText.includes('shown already')")
	p.clean()
}

func TestTheKeyIsCopied(t *testing.T) {
	s := newStage(t)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.open(ui.PathNewOrg)
	p.fill("#name", "Acme")
	p.follow("#main button[type=submit]")
	p.js("window.copied = ''; navigator.clipboard.writeText = async text => { window.copied = text }; 0", nil)
	p.do(chromedp.Click("[data-copy=secret]", chromedp.ByQuery))
	p.until("document.querySelector('[data-copy=secret]').textContent === 'Copied'")
	var copied string
	p.js("window.copied", &copied)
	if copied != p.text("#secret") {
		t.Errorf("copied %q", copied)
	}
	p.clean()
}

func TestWithoutAScript(t *testing.T) {
	s := newStage(t)
	s.claim()
	p := openBrowser(t).tab(t, s.url)
	p.do(emulation.SetScriptExecutionDisabled(true))
	p.open(ui.PathOrgs)
	p.type_("#email", ownerEmail)
	p.type_("#password", ownerPassword+kb.Enter)
	p.seen("main h1", "Organizations") // where the visitor wanted to go
	p.clicked("a[href='" + ui.PathNewOrg + "']")
	p.type_("#name", "Acme Robotics")
	p.do(chromedp.Click("#main input[value=pro]", chromedp.ByQuery))
	p.clicked("#main button[type=submit]")
	p.seen("#secret", "gk_live_")
	p.open(ui.With(ui.PathOrgs, "q", "robot"))
	p.seen("td.title a.name", "Acme Robotics")
	p.clicked("td.title a.name")
	p.seen("main h1", "Acme Robotics")
	p.open(ui.NewKey("acme-robotics"))
	p.type_("#name", "ci"+kb.Enter)
	p.seen("#secret", "gk_live_")
	p.type_("#find", "usage"+kb.Enter)
	p.seen("main h1", "Search")
	p.seen("td.title a.name", "Usage")
	p.size(390)
	p.do(chromedp.Click(".top .menu", chromedp.ByQuery), chromedp.WaitVisible("#menu", chromedp.ByQuery))
	p.clicked("#menu a[href='" + ui.PathPlans + "']")
	p.seen("main h1", "Plans and limits")
	p.do(chromedp.Click("button.avatar", chromedp.ByQuery), chromedp.WaitVisible("#me", chromedp.ByQuery))
	p.clicked("#me form[action='" + ui.PathSignOut + "'] button")
	p.seen("main h1", "Sign in")
	p.clean()
}

// type_ types without the help of scripts in the page.
func (p *tab) type_(selector, text string) {
	p.t.Helper()
	p.do(chromedp.Click(selector, chromedp.ByQuery), chromedp.KeyEvent(text))
}

// clicked clicks what is visible.
func (p *tab) clicked(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// seen waits until an element is there whose text begins so; it needs no script.
func (p *tab) seen(selector, text string) {
	p.t.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var found string
		ctx, stop := context.WithTimeout(p.ctx, 2e9)
		err := chromedp.Run(ctx, chromedp.TextContent(selector, &found, chromedp.ByQuery, chromedp.AtLeast(0)))
		stop()
		if last = strings.TrimSpace(found); err == nil && strings.HasPrefix(last, text) {
			return
		}
		p.do(chromedp.Sleep(50e6))
	}
	p.t.Fatalf("%s reads %q, not %q", selector, last, text)
}

func TestTheCommandBar(t *testing.T) {
	s := newStage(t)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	for _, name := range []string{"Acme Robotics", `<img src=x onerror="document.title='broken'">`} {
		s.newOrg(name)
	}
	p.open(ui.PathSystem)
	p.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2))) // Ctrl
	p.until("document.activeElement.id === 'find' && !document.querySelector('#found').hidden")
	p.check("the command bar, empty")
	p.press("robot")
	p.until("document.querySelector('#found [aria-selected=true]')?.textContent.includes('Acme Robotics')")
	p.check("the command bar, with results")
	p.keep("command-bar-light", 500)
	p.press(kb.Enter)
	p.at(ui.Org("acme-robotics", ""))
	p.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2)))
	p.until("document.activeElement.id === 'find'")
	p.press("onerror")
	p.until("document.querySelector('#found')?.textContent.includes('onerror=')")
	p.press(kb.Escape)
	p.until("document.querySelector('#found').hidden")
	var title string
	p.js("document.title", &title)
	if title == "broken" {
		t.Error("a name ran as a script")
	}
	p.clean()
}

func (s *stage) newOrg(name string) app.Org {
	s.t.Helper()
	return s.visitor().newOrg(name, "pro")
}

func TestChartsAreReadByKeyboardAndPointer(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.open(ui.Org("acme-robotics", "usage"))
	rest := p.text("#usage-readout")
	p.tabTo("#usage")
	p.press(kb.Home)
	first := p.text("#usage-readout")
	p.press(kb.ArrowRight)
	second := p.text("#usage-readout")
	if !strings.Contains(first, "production") || first == second || first == rest {
		t.Errorf("read out %q, then %q", first, second)
	}
	p.press(kb.Escape)
	if got := p.text("#usage-readout"); got != rest {
		t.Errorf("at rest the line reads %q, was %q", got, rest)
	}
	var x, y float64
	p.js("document.querySelector('#usage .plot').getBoundingClientRect().x + 40", &x)
	p.js("document.querySelector('#usage .plot').getBoundingClientRect().y + 60", &y)
	p.do(chromedp.MouseEvent("mouseMoved", x, y))
	p.until("document.querySelector('#usage-readout').textContent.includes('production')")
	p.keep("chart-readout-light", 700)
	p.clean()
}
