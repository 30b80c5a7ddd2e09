// Read-outs of charts: pointer and arrow keys walk over the steps; what is
// read comes from the table under the chart.
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";

  function rows(chart) { return document.querySelectorAll("#" + chart.dataset.chart + "-numbers tbody tr"); }

  // Where the arrow keys begin: at the step that is not over yet, or the last.
  function latest(chart) {
    const all = [...rows(chart)], now = all.findIndex(function (row) { return row.hasAttribute("data-now"); });
    return now < 0 ? all.length - 1 : now;
  }

  function show(chart, index) {
    const all = rows(chart), plot = chart.querySelector(".plot");
    if (!all.length || !plot) return;
    index = Math.max(0, Math.min(all.length - 1, index));
    chart.dataset.at = index;
    let cursor = plot.querySelector(".c-cursor");
    if (!cursor) {
      cursor = document.createElementNS(SVG, "rect");
      cursor.setAttribute("class", "c-cursor");
      cursor.setAttribute("data-own", "");
      plot.append(cursor);
    }
    const box = plot.viewBox.baseVal, step = box.width / all.length;
    cursor.setAttribute("x", index * step);
    cursor.setAttribute("width", step);
    cursor.setAttribute("y", 0);
    cursor.setAttribute("height", box.height);
    const heads = all[index].closest("table").tHead.rows[0].cells;
    const out = document.getElementById(chart.dataset.chart + "-readout");
    if (!out) return;
    if (!("rest" in out.dataset)) out.dataset.rest = out.textContent;
    out.replaceChildren();
    [...all[index].cells].forEach(function (cell, i) {
      const part = document.createElement("span"), value = document.createElement("b");
      value.textContent = cell.textContent;
      part.append(i ? heads[i].textContent + " " : "", value);
      out.append(part, " ");
    });
    out.style.minHeight = out.offsetHeight + "px"; // what grew once stays: the plot does not jump below the pointer
  }

  function hide(chart) {
    const cursor = chart.querySelector(".c-cursor"), out = document.getElementById(chart.dataset.chart + "-readout");
    delete chart.dataset.at;
    if (cursor) cursor.remove();
    if (out && "rest" in out.dataset) { out.textContent = out.dataset.rest; delete out.dataset.rest; }
  }

  document.addEventListener("pointermove", function (event) {
    const plot = event.target.closest(".chart .plot");
    const chart = plot && plot.closest(".chart");
    for (const other of document.querySelectorAll(".chart[data-at]")) {
      if (other !== chart && other !== document.activeElement) hide(other);
    }
    if (!chart) return;
    const area = plot.getBoundingClientRect();
    show(chart, Math.floor((event.clientX - area.left) / area.width * rows(chart).length));
  });
  document.addEventListener("keydown", function (event) {
    const chart = event.target;
    if (!chart.matches || !chart.matches(".chart")) return;
    const last = rows(chart).length - 1, at = "at" in chart.dataset ? +chart.dataset.at : latest(chart) + 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") return hide(chart);
    if (to === undefined) return;
    event.preventDefault();
    show(chart, to);
  });
  document.addEventListener("focusin", function (event) {
    if (event.target.matches && event.target.matches(".chart:focus-visible")) show(event.target, latest(event.target));
  });
  document.addEventListener("focusout", function (event) {
    if (event.target.matches && event.target.matches(".chart")) hide(event.target);
  });
  // After the live stream changed the numbers, the read-out follows them.
  document.addEventListener("gh:changed", function () {
    for (const chart of document.querySelectorAll(".chart[data-at]")) show(chart, +chart.dataset.at);
  });
})();
