// What every page needs: it says that scripts run, tells the server the
// browser's time zone, and keeps "12 s ago" true.
(function () {
  "use strict";
  document.documentElement.classList.add("js");

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("gh_zone=" + encodeURIComponent(zone))) {
    document.cookie = "gh_zone=" + encodeURIComponent(zone) + "; Path=/; Max-Age=31536000; SameSite=Lax";
  }

  // The same words as ui.Ago on the server.
  function ago(seconds) {
    if (seconds < 1) return "just now";
    if (seconds < 60) return Math.floor(seconds) + "\u00a0s ago";
    if (seconds < 3600) return Math.floor(seconds / 60) + "\u00a0min ago";
    if (seconds < 86400) return Math.floor(seconds / 3600) + "\u00a0h ago";
    return Math.floor(seconds / 86400) + "\u00a0d ago";
  }
  setInterval(function () {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (seconds >= 0 && seconds < 30 * 86400) time.textContent = ago(seconds);
    }
  }, 5000);

  // A drawer or menu closes when something in it was chosen.
  document.addEventListener("click", function (event) {
    const link = event.target.closest("[popover] a[href]");
    if (link) link.closest("[popover]").hidePopover();
  });

  // A form is sent once; the button says that it is under way.
  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
  });
  addEventListener("pageshow", function (event) {
    for (const form of document.forms) delete form.dataset.sent;
    if (event.persisted && document.querySelector("[data-secret]")) location.reload();
  });

  // A one-time link is used by a browser that a person looks at.
  const send = document.querySelector("form[data-send]");
  if (send && document.visibilityState === "visible" && !document.prerendering) send.requestSubmit();

  // Choices of a filter apply at once; the button remains for who has no script.
  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-apply]")) event.target.form.requestSubmit();
  });

  // A secret leaves the page with its visitor: nothing is left to go back to.
  addEventListener("pagehide", function () {
    for (const secret of document.querySelectorAll("[data-secret]")) secret.textContent = "shown once";
  });
})();
