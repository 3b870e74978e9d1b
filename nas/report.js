"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const details = document.getElementById("details");
  const plots = new Map();
  const hidden = new Map();

  const recoloured = (value) => {
    if (typeof value === "string") return data.dark[value] || value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, recoloured(each)]));
  };

  const styled = (id) => {
    const whole = data.panels[id];
    const figure = dark.matches
      ? { data: whole.data.map((t) => restyled(t)), layout: recoloured(whole.layout) }
      : { data: whole.data.map((t) => ({ ...t })), layout: structuredClone(whole.layout) };
    const gone = hidden.get(document.getElementById(id).closest("figure").id) || new Set();
    whole.data.forEach((trace, i) => {
      if (gone.has(trace.name)) figure.data[i].visible = false;
    });
    return figure;
  };
  // Only what has a colour: numbers and names stay what they are.
  const restyled = (trace) => {
    const result = { ...trace };
    for (const key of ["line", "marker", "fillcolor", "error_x", "error_y", "colorscale"]) {
      if (result[key]) result[key] = recoloured(result[key]);
    }
    return result;
  };

  const draw = (id) => {
    const plot = document.getElementById(id);
    const { data: traces, layout } = styled(id);
    const config = {
      responsive: true,
      displaylogo: false,
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
      toImageButtonOptions: { format: "svg", filename: id },
    };
    Plotly.react(plot, traces, layout, config);
    if (plots.has(id)) return;
    plots.set(id, plot);
    const ring = document.createElement("div");
    ring.className = "ring";
    ring.style.width = ring.style.height = data.ring + "px";
    plot.append(ring);
    const index = new Map();
    data.panels[id].data.forEach((trace) => {
      if (!trace.customdata) return;
      trace.customdata.forEach((s, i) => index.set(s, [trace.x[i], trace.y[i]]));
    });
    plot.places = index;
    plot.on("plotly_hover", (event) => {
      const subject = event.points[0].customdata;
      if (subject !== undefined) tell(subject, event.event);
    });
    plot.on("plotly_unhover", quiet);
  };

  const mark = (subject) => {
    for (const plot of plots.values()) {
      const ring = plot.querySelector(":scope > .ring");
      const place = subject === null ? undefined : plot.places.get(subject);
      const { xaxis, yaxis } = plot._fullLayout;
      if (!place || !xaxis || !xaxis.d2p) {
        ring.style.display = "none";
        continue;
      }
      ring.style.left = xaxis._offset + xaxis.d2p(place[0]) + "px";
      ring.style.top = yaxis._offset + yaxis.d2p(place[1]) + "px";
      ring.style.display = "block";
    }
    document.querySelectorAll("tr[data-subject]").forEach((row) => {
      row.classList.toggle("marked", Number(row.dataset.subject) === subject);
    });
  };

  const element = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  };

  const tell = (number, pointer) => {
    const subject = data.subjects[number];
    const list = document.createElement("dl");
    data.names.forEach((name, i) => {
      if (subject.values[i]) list.append(element("dt", name), element("dd", subject.values[i]));
    });
    details.replaceChildren(element("strong", subject.name), element("span", subject.status), list);
    details.hidden = false;
    const { clientX: x, clientY: y } = pointer;
    const { offsetWidth: width, offsetHeight: height } = details;
    const right = x + 18 + width < window.innerWidth;
    details.style.left = Math.max(8, right ? x + 18 : x - 18 - width) + "px";
    details.style.top = Math.max(8, Math.min(y - 20, window.innerHeight - height - 8)) + "px";
    mark(number);
  };
  const quiet = () => {
    details.hidden = true;
    mark(null);
  };

  const sort = (heading) => {
    const table = heading.closest("table");
    const body = table.tBodies[0];
    const column = heading.cellIndex;
    const up = heading.getAttribute("aria-sort") !== "ascending";
    const key = (row) => {
      const cell = row.cells[column];
      return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
    };
    const empty = (value) => value === "" || Number.isNaN(value);
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (empty(x) || empty(y)) return empty(x) - empty(y);
      const order = typeof x === typeof y && typeof x === "string" ? x.localeCompare(y) : x - y;
      return up ? order : -order;
    });
    body.append(...rows);
    for (const each of table.tHead.rows[0].cells) each.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  };

  document.querySelectorAll("thead button").forEach((button) => {
    button.addEventListener("click", () => sort(button.closest("th")));
  });
  document.querySelectorAll("tr[data-subject]").forEach((row) => {
    row.addEventListener("mouseenter", () => mark(Number(row.dataset.subject)));
    row.addEventListener("mouseleave", () => mark(null));
  });
  document.querySelectorAll(".legend button").forEach((button) => {
    button.addEventListener("click", () => {
      const figure = button.closest("figure");
      const gone = hidden.get(figure.id) || new Set();
      const shown = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!shown));
      gone[shown ? "add" : "delete"](button.dataset.series);
      hidden.set(figure.id, gone);
      figure.querySelectorAll(".plot").forEach((plot) => plots.has(plot.id) && draw(plot.id));
    });
  });

  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        draw(entry.target.id);
      }
    },
    { rootMargin: "600px" },
  );
  document.querySelectorAll(".plot").forEach((plot) => near.observe(plot));
  const everything = () => document.querySelectorAll(".plot").forEach((plot) => draw(plot.id));
  dark.addEventListener("change", () => [...plots.keys()].forEach(draw));
  window.addEventListener("beforeprint", everything);
  window.addEventListener("scroll", quiet, { passive: true });
})();
