// The command bar: Ctrl-K or / goes to it, results come while typing, arrow
// keys choose, Enter opens. Without a script it is a search form.
(function () {
  "use strict";
  const input = document.getElementById("find"), list = document.getElementById("found");
  if (!input || !list) return;
  let asked = 0, timer = 0, chosen = -1;

  function links() { return [...list.querySelectorAll("a[href]")]; }
  function close() {
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function choose(to) {
    const all = links();
    if (!all.length) return;
    chosen = (to + all.length) % all.length;
    all.forEach(function (link, i) {
      link.id = "found-" + i;
      link.setAttribute("aria-selected", i === chosen);
    });
    input.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  }
  async function ask() {
    const ticket = ++asked;
    const answer = await fetch(list.dataset.source + "?part=1&q=" + encodeURIComponent(input.value), { headers: { Accept: "text/html" } }).catch(function () { return null; });
    if (!answer || !answer.ok) return;
    const html = await answer.text();
    if (ticket !== asked || document.activeElement !== input) return;
    list.innerHTML = html; // made and escaped by the server
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    chosen = -1;
    if (input.value.trim()) choose(0);
  }
  function soon() { clearTimeout(timer); timer = setTimeout(ask, 120); }

  document.addEventListener("keydown", function (event) {
    const typing = event.target.matches("input, textarea, select, [contenteditable]");
    if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing)) {
      event.preventDefault();
      input.focus();
      input.select();
      ask();
    }
  });
  input.addEventListener("input", soon);
  input.addEventListener("click", ask); // not on focus: who only tabs past it wants no list
  input.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { if (list.hidden) input.blur(); else close(); event.preventDefault(); return; }
    if (list.hidden) { if (event.key === "ArrowDown") { ask(); event.preventDefault(); } return; }
    if (event.key === "ArrowDown") { choose(chosen + 1); event.preventDefault(); }
    if (event.key === "ArrowUp") { choose(chosen < 0 ? -1 : chosen - 1); event.preventDefault(); }
    if (event.key === "Enter" && chosen >= 0) { event.preventDefault(); links()[chosen].click(); close(); input.blur(); }
  });
  list.addEventListener("mousedown", function (event) { event.preventDefault(); }); // the input keeps the focus
  input.addEventListener("blur", close);
})();
