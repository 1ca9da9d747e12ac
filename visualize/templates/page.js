"use strict";
(() => {
  const items = [...document.querySelectorAll("[data-keys]")];
  const keysOf = new Map(items.map((item) => [item, item.dataset.keys.split(" ").filter(Boolean)]));
  const byKey = new Map();
  for (const [item, keys] of keysOf) {
    for (const key of keys) {
      if (!byKey.has(key)) byKey.set(key, []);
      byKey.get(key).push(item);
    }
  }
  const wires = [...document.querySelectorAll(".wire")];
  const said = document.getElementById("said");
  let pinned = null;

  function light(item) {
    for (const other of document.querySelectorAll(".lit")) other.classList.remove("lit");
    if (!item) return;
    const lit = new Set([item]);
    for (const key of keysOf.get(item) || []) for (const other of byKey.get(key)) lit.add(other);
    for (const other of lit) other.classList.add("lit");
    for (const wire of wires) {
      const ends = [wire.dataset.source, ...wire.dataset.target.split(" ")];
      if (item.id && ends.includes(item.id)) wire.classList.add("lit");
    }
    for (const panel of document.querySelectorAll(".scroll")) {
      if (panel.contains(item)) continue;
      const first = [...lit].find((other) => panel.contains(other) && other.offsetParent !== null);
      if (first) reveal(panel, first);
    }
  }

  // Scrolls the panel only: the page is not to jump under the pointer.
  function reveal(panel, item) {
    const frame = panel.getBoundingClientRect();
    const box = item.getBoundingClientRect();
    if (box.top < frame.top + 24) panel.scrollTop += box.top - frame.top - 30;
    else if (box.bottom > frame.bottom) panel.scrollTop += box.bottom - frame.bottom + 10;
  }

  // Shows the numbers of the step of a symbol.
  function goTo(item) {
    const slider = document.getElementById("step");
    const at = slider && item.dataset.step ? slider.dataset.steps.split(" ").indexOf(item.dataset.step) : -1;
    if (at < 0 || Number(slider.value) === at) return;
    slider.value = at;
    slider.dispatchEvent(new Event("input"));
  }

  function speak(item) {
    const others = [...document.querySelectorAll(".item.lit")].filter((other) => other !== item);
    const texts = others
      .filter((other) => other.offsetParent !== null)
      .map((other) => other.getAttribute("aria-label") || other.textContent.replace(/\s+/g, " ").trim());
    said.textContent = texts.slice(0, 4).join(". ");
  }

  function itemAt(target) {
    return target instanceof Element ? target.closest("[data-keys]") : null;
  }

  document.addEventListener("pointerover", (event) => {
    if (!pinned) light(itemAt(event.target));
  });
  document.addEventListener("click", (event) => {
    const item = itemAt(event.target);
    if (!item) return;
    pinned = pinned === item ? null : item;
    goTo(item);
    light(pinned || item);
    speak(item);
  });
  document.addEventListener("focusin", (event) => {
    const item = itemAt(event.target);
    if (!item) return;
    if (!pinned) light(item);
    speak(item);
  });
  document.addEventListener("pointerleave", () => {
    if (!pinned) light(null);
  });

  // One stop of the Tab key for each panel, the arrow keys within it (the ARIA pattern of a roving tabindex).
  for (const list of document.querySelectorAll("[data-list]")) {
    const members = () =>
      [...list.querySelectorAll("[data-keys]")].filter((m) => m instanceof SVGElement || m.offsetParent !== null);
    const enter = (member) => {
      for (const other of list.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", "-1");
      if (member) member.setAttribute("tabindex", "0");
    };
    enter(members()[0]);
    list.addEventListener("focusin", (event) => enter(itemAt(event.target)));
    list.addEventListener("keydown", (event) => {
      const all = members();
      const at = all.indexOf(itemAt(event.target));
      const to = {
        ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1,
      }[event.key];
      if (to !== undefined && at >= 0) {
        event.preventDefault();
        all[Math.max(0, Math.min(all.length - 1, to))].focus();
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        const item = itemAt(event.target);
        pinned = pinned === item ? null : item;
        goTo(item);
        light(item);
      }
    });
    list.reset = () => {
      if (!members().includes(list.querySelector("[tabindex='0']"))) enter(members()[0]);
    };
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned = null;
    light(itemAt(document.activeElement));
  });

  const turn = document.getElementById("turn");
  if (turn) {
    turn.addEventListener("change", () => {
      document.querySelector("#picture svg").classList.toggle("gradients", turn.checked);
    });
  }

  // The time step: which values are shown, and what the drawing zooms to.
  const slider = document.getElementById("step");
  if (!slider) return;
  const steps = slider.dataset.steps.split(" ").map(Number);
  const boxes = JSON.parse(document.getElementById("boxes").textContent);
  const zoom = document.getElementById("zoom");
  const svg = document.querySelector("#picture svg");
  const values = document.querySelector("[data-list='values']");

  function show() {
    const step = steps[Number(slider.value)];
    document.getElementById("step-shown").textContent = `t = ${step}`;
    document.getElementById("values-step").textContent = `at t = ${step}`;
    slider.setAttribute("aria-valuetext", `t = ${step}`);
    for (const row of values.querySelectorAll("[data-step]")) row.hidden = Number(row.dataset.step) !== step;
    values.reset();
    svg.classList.toggle("zoomed", zoom.checked);
    const ids = zoom.checked ? boxes[step] : undefined;
    const box = (ids && around(ids)) || svg.dataset.viewbox;
    svg.setAttribute("viewBox", box);
    const [, , width, height] = box.split(" ").map(Number);
    svg.style.aspectRatio = zoom.checked ? `${width} / ${height}` : "";
  }

  function around(ids) {
    svg.setAttribute("viewBox", svg.dataset.viewbox);
    svg.style.aspectRatio = "";
    const box = svg.viewBox.baseVal;
    const frame = svg.getBoundingClientRect();
    const scale = Math.max(box.width / frame.width, box.height / frame.height);
    const left = frame.left + (frame.width - box.width / scale) / 2;
    const top = frame.top + (frame.height - box.height / scale) / 2;
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const id of ids) {
      const own = document.getElementById(id).getBoundingClientRect();
      x0 = Math.min(x0, own.left); y0 = Math.min(y0, own.top);
      x1 = Math.max(x1, own.right); y1 = Math.max(y1, own.bottom);
    }
    const pad = 16;
    return [box.x + (x0 - left) * scale - pad, box.y + (y0 - top) * scale - pad,
      (x1 - x0) * scale + 2 * pad, (y1 - y0) * scale + 2 * pad].join(" ");
  }

  slider.addEventListener("input", show);
  zoom.addEventListener("change", show);
  show();
})();
