// The equity curve. Heights come from the texts that the server wrote; the text under the pointer is that very text.
import { note, rows } from "./panels.js";

const section = document.getElementById("panel-equity");
const box = section.querySelector(".chart");
const read = section.querySelector("[data-read]");
let plot = null;
let texts = [];

/** Resolve a colour of the style sheet: a canvas knows no custom properties. */
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(rgb, alpha) {
  return rgb.replace(/^rgb\(([^)]+)\)$/, `rgba($1, ${alpha})`);
}

const compact = new Intl.NumberFormat("en", { notation: "compact", minimumFractionDigits: 1, maximumFractionDigits: 2 });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function heights(points) {
  return points.map(([, text]) => Number(text.replaceAll(",", "").replace("\u2212", "-")));
}

function options() {
  const line = colour("accent");
  const axis = { stroke: colour("text-3"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    padding: [10, 32, 0, 4],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [pointed] },
    axes: [
      { ...axis, grid: { show: false }, space: 70 },
      { ...axis, size: 66, values: (_, ticks) => scale(ticks) },
    ],
    series: [{}, {
      stroke: line, width: 2, points: { show: false },
      fill: (self) => {
        const shade = self.ctx.createLinearGradient(0, self.bbox.top, 0, self.bbox.top + self.bbox.height);
        shade.addColorStop(0, faded(line, 0.2));
        shade.addColorStop(1, faded(line, 0));
        return shade;
      },
    }],
  };
}

/** Short axis labels, unless the curve is so flat that short ones would all read the same. */
function scale(ticks) {
  const short = ticks.map((tick) => compact.format(tick));
  return new Set(short).size === ticks.length ? short : ticks.map((tick) => plain.format(tick));
}

function pointed(self) {
  const at = self.cursor.idx;
  const point = at == null ? null : texts[at];
  read.textContent = point ? `${new Date(point[0] * 1000).toISOString().slice(0, 16).replace("T", " ")}  ${point[1]}` : "";
}

function draw() {
  plot?.destroy();
  plot = null;
  if (texts.length < 2 || typeof uPlot === "undefined") return;
  plot = new uPlot(options(), [texts.map(([at]) => at), heights(texts)], box);
}

export function chart(panel) {
  note(section, panel);
  box.setAttribute("aria-label", `Equity curve. ${panel.note}`);
  rows(section.querySelector("table"), panel.table);
  texts = panel.points;
  if (plot && texts.length > 1) plot.setData([texts.map(([at]) => at), heights(texts)]);
  else draw();
}

export function start() {
  texts = JSON.parse(box.dataset.points);
  draw();
  new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
