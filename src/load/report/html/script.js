// Reads the charts' values out at the pointer, in all charts of a time axis at once. Without it the page is whole.
"use strict";
(() => {
  const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const units = { ms: " ms", "per-s": "/s" };

  // Gives what takes the readings away again.
  const follow = (timeline) => {
    const { begin, end, times, series } = JSON.parse(timeline.querySelector(".readings").textContent);
    const charts = [...timeline.querySelectorAll("svg.plot")];
    const values = [...timeline.querySelectorAll("[data-series]")];
    const highest = values.map((it) => it.textContent);
    const length = end - begin;

    const clear = () => {
      values.forEach((it, at) => (it.textContent = highest[at]));
      timeline.querySelectorAll("figcaption output").forEach((it) => (it.textContent = ""));
      timeline.querySelectorAll(".cursor").forEach((it) => it.setAttribute("visibility", "hidden"));
    };

    const read = (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const second = begin + ((event.clientX - box.left) / box.width) * length;
      let at = 0;
      times.forEach((it, next) => {
        if (Math.abs(it - second) < Math.abs(times[at] - second)) at = next;
      });
      values.forEach((it) => {
        const value = series[it.dataset.series][at];
        it.textContent = value === null ? "no data" : digits.format(value) + (units[it.dataset.unit] || "");
      });
      const x = `${((times[at] - begin) / length) * 100}%`;
      charts.forEach((chart) => {
        const cursor = chart.querySelector(".cursor");
        cursor.setAttribute("x1", x);
        cursor.setAttribute("x2", x);
        cursor.setAttribute("visibility", "visible");
        chart.closest("figure").querySelector("output").textContent = `at ${times[at].toFixed(1)} s`;
      });
    };

    if (times.length > 0) {
      charts.forEach((chart) => {
        chart.addEventListener("pointermove", read);
        chart.addEventListener("pointerdown", read);
        chart.addEventListener("pointerleave", clear);
      });
    }
    return clear;
  };

  const clear = [...document.querySelectorAll(".timeline")].map(follow);
  addEventListener("beforeprint", () => {
    clear.forEach((it) => it());
    document.querySelectorAll("details").forEach((it) => (it.open = true));
  });
})();
