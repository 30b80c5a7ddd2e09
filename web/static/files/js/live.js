// Live pages: one stream of server-sent events for all tabs of this browser.
// The tab that leads holds the stream, and passes on what it hears; a hidden
// tab lets go of it. Parts of the page that changed are replaced in place.
(function () {
  "use strict";
  const body = document.body, url = body.dataset.stream;
  if (!url || !window.EventSource) return;
  const wanted = body.dataset.topics.split(" "), me = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const channel = window.BroadcastChannel ? new BroadcastChannel("gatehouse:live") : null;
  const QUIET = 3500, STALE = 6000; // ms without a word: from the leader, from the server
  let source = null, opened = "", heardLeader = 0, heardServer = 0, pause = 0, leader = "", held = {}, others = new Map();

  /* --- putting a change into the page, node by node, so that focus, selection and scroll stay --- */
  function same(a, b) { return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || ""); }
  function morph(now, next) {
    if (now.nodeType !== 1) { if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue; return; }
    if (now.isEqualNode(next)) return;
    for (const { name } of [...now.attributes]) {
      if (!next.hasAttribute(name) && !(name === "open" && now.nodeName === "DETAILS") && !name.startsWith("data-at")) now.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    children(now, next);
  }
  function children(now, next) {
    const old = [...now.childNodes].filter(function (n) { return n.nodeType !== 1 || !n.hasAttribute("data-own"); });
    const fresh = [...next.childNodes];
    for (let i = 0; i < Math.max(old.length, fresh.length); i++) {
      if (!fresh[i]) old[i].remove();
      else if (!old[i]) now.append(fresh[i]);
      else if (same(old[i], fresh[i])) morph(old[i], fresh[i]);
      else old[i].replaceWith(fresh[i]);
    }
  }
  function busy(part) { // somebody points at or stands in a list whose rows may move
    return part.hasAttribute("data-hold") && (part.matches(":hover") || part.contains(document.activeElement));
  }
  function put(name, html) {
    const part = document.querySelector('[data-live="' + CSS.escape(name) + '"]');
    if (!part) return;
    if (busy(part)) { held[name] = html; return; }
    delete held[name];
    const frame = document.createElement("template");
    frame.innerHTML = html; // made and escaped by the server
    children(part, frame.content);
  }
  function take(topic, parts) {
    if (!wanted.includes(topic)) return;
    for (const name in parts) put(topic + "/" + name, parts[name]);
    document.dispatchEvent(new Event("gh:changed"));
  }
  document.addEventListener("pointerout", release);
  document.addEventListener("focusout", release);
  function release() { setTimeout(function () { for (const name in held) put(name, held[name]); }, 0); }

  /* --- saying how fresh the page is --- */
  function say() {
    const mark = document.getElementById("live"), banner = document.getElementById("stale");
    if (!mark) return;
    const age = heardServer ? Date.now() - heardServer : 0, stale = heardServer && age > STALE;
    mark.dataset.state = !heardServer ? "off" : stale ? "stale" : "live";
    mark.querySelector(".what").textContent = !heardServer ? "Connecting" : stale ? "Stale" : "Live";
    mark.querySelector(".age").textContent = heardServer ? " · " + Math.floor(age / 1000) + "\u00a0s ago" : "";
    if (banner) {
      banner.hidden = !stale;
      if (stale) banner.querySelector(".age").textContent = Math.floor(age / 1000) + " s";
    }
  }

  /* --- the stream, held by the leader --- */
  function union() {
    const all = new Set(wanted);
    for (const [id, other] of others) {
      if (Date.now() - other.at > 3 * QUIET) others.delete(id);
      else other.topics.forEach(function (topic) { all.add(topic); });
    }
    return [...all].sort().join(",");
  }
  function lead() {
    leader = me;
    const topics = union();
    if ((source && opened === topics) || Date.now() < pause) return;
    if (source) source.close();
    opened = topics;
    source = new EventSource(url + "?topics=" + encodeURIComponent(topics));
    source.addEventListener("parts", function (event) { hear(JSON.parse(event.data), true); });
    source.addEventListener("beat", function () { hear(null, true); });
    source.addEventListener("bye", function () { location.reload(); }); // signed out, or a new release
    source.onerror = function () { // the browser tries again by itself, unless the answer was an error
      if (source && source.readyState === EventSource.CLOSED) { source = null; opened = ""; pause = Date.now() + 5000; }
    };
  }
  function follow(id) {
    leader = id;
    heardLeader = Date.now();
    if (source) { source.close(); source = null; opened = ""; }
  }
  function hear(event, tell) {
    heardServer = Date.now();
    if (event) take(event.topic, event.parts);
    if (tell && channel) channel.postMessage({ kind: "event", from: me, event: event });
    say();
  }
  function let_go() {
    if (source) { source.close(); source = null; opened = ""; }
    if (channel && leader === me) channel.postMessage({ kind: "leave", from: me });
    if (channel) channel.postMessage({ kind: "gone", from: me });
    leader = "";
  }
  if (channel) channel.onmessage = function (message) {
    const said = message.data;
    if (said.kind === "gone") { others.delete(said.from); return; }
    if (said.kind === "want") {
      others.set(said.from, { topics: said.topics, at: Date.now() });
      if (leader === me && !document.hidden) { channel.postMessage({ kind: "here", from: me }); lead(); }
      return;
    }
    if (document.hidden) return;
    if (said.kind === "here" && leader !== me) { leader = said.from; heardLeader = Date.now(); return; }
    if (said.kind === "leave" && said.from === leader) { leader = ""; heardLeader = 0; return tick(); }
    if (said.kind !== "event") return;
    if (leader === me && said.from < me) { follow(said.from); want(); } // two led: the smaller name stays
    else if (leader !== me) { leader = said.from; heardLeader = Date.now(); hear(said.event, false); }
  };
  function want() { if (channel) channel.postMessage({ kind: "want", from: me, topics: wanted }); }
  function tick() {
    if (document.hidden) return;
    if (leader !== me) {
      want();
      if (!channel || Date.now() - heardLeader > QUIET) lead();
    } else lead();
    say();
  }
  document.addEventListener("visibilitychange", function () {
    if (document.hidden) return let_go();
    join();
  });
  addEventListener("pagehide", let_go);
  addEventListener("pageshow", function (event) { if (event.persisted) tick(); });
  function join() { // a leader, if there is one, answers at once; else lead
    heardLeader = Date.now() - QUIET + 150;
    want();
    setTimeout(tick, 200);
  }
  setInterval(tick, 1000);
  if (!document.hidden) join();
  say();
})();
