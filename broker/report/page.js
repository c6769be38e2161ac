'use strict';
// Draws the bars of the element #data: [lane, depth, began, took, outcome, command, reason, directory, saved, status], times in microseconds.
const data = JSON.parse(document.getElementById('data').textContent);
const canvas = document.getElementById('timeline'), told = document.getElementById('told');
const rowHeight = 20, laneGap = 6, axisHeight = 24;
const bars = data.bars.map(([lane, depth, began, took, outcome, command, reason, directory, saved, status]) =>
  ({lane, depth, began, took, outcome, command, reason, directory, saved, status}));
const full = bars.reduce((most, bar) => Math.max(most, bar.began + bar.took), Math.max(data.took, 1));
let from = 0, to = full, chosen = null;

// Each lane is as high as its bars are deep.
const rows = [];
for (const bar of bars) rows[bar.lane] = Math.max(rows[bar.lane] || 1, bar.depth + 1);
const tops = [];
let height = axisHeight;
for (let lane = 0; lane < rows.length; ++lane) {
  tops[lane] = height;
  height += (rows[lane] || 1) * rowHeight + laneGap;
}

function timeText(us) {
  if (us < 1000) return us + ' \u00b5s';
  if (us < 1e6) return (us / 1000).toPrecision(3) + ' ms';
  if (us < 60e6) return (us / 1e6).toPrecision(3) + ' s';
  return Math.floor(us / 60e6) + ' min ' + Math.round(us / 1e6 % 60) + ' s';
}

function place(bar) {
  const scale = canvas.clientWidth / (to - from);
  return {x: (bar.began - from) * scale, width: Math.max(bar.took * scale, 1.5), y: tops[bar.lane] + bar.depth * rowHeight};
}

function draw() {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
  canvas.style.height = height + 'px';
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue('--' + name).trim();
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, width, height);
  pen.font = '12px ' + getComputedStyle(document.body).fontFamily;
  pen.textBaseline = 'middle';

  // The axis: a line at every 1, 2 or 5 of some unit.
  const rough = (to - from) / Math.max(width / 110, 1), power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = Math.max([1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough), 1);
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    const x = (time - from) / (to - from) * width;
    pen.fillStyle = colour('grid');
    pen.fillRect(x, 0, 1, height);
    pen.fillStyle = colour('quiet');
    pen.fillText(timeText(time), x + 4, axisHeight / 2);
  }

  const miss = hatching(pen, colour('miss'), ratio);
  for (const bar of bars) {
    const {x, y, width: long} = place(bar);
    if (x > width || x + long < 0) continue;
    const high = rowHeight - 3, kind = bar.outcome === 'hit' ? 'hit' : bar.outcome === 'miss' ? 'miss' : 'other';
    pen.fillStyle = colour('raised');
    pen.fillRect(x, y, long, high);
    pen.fillStyle = kind === 'miss' ? miss : colour(kind);
    pen.globalAlpha = kind === 'other' ? 0.18 : 1;
    pen.fillRect(x, y, long, high);
    pen.globalAlpha = 1;
    pen.strokeStyle = bar === chosen ? colour('ink') : colour(kind);
    pen.lineWidth = bar === chosen ? 2 : 1;
    pen.setLineDash(kind === 'other' && bar !== chosen ? [3, 2] : []);
    if (long > 3) pen.strokeRect(x + .5, y + .5, long - 1, high - 1);
    if (long < 40) continue;
    const left = Math.max(x, 0), sign = {hit: '\u2713 ', miss: '\u25b6 ', other: '\u2715 '}[kind];
    pen.save();
    pen.beginPath();
    pen.rect(left, y, x + long - left - 4, high);
    pen.clip();
    pen.fillStyle = kind === 'hit' ? colour('on') : colour('ink');
    pen.fillText(sign + bar.command.slice(0, 300).replace(/\s+/g, ' '), left + 5, y + high / 2 + 1);
    pen.restore();
  }
}

function hatching(pen, colour, ratio) {
  const tile = document.createElement('canvas'), size = 8;
  tile.width = tile.height = size * ratio;
  const brush = tile.getContext('2d');
  brush.scale(ratio, ratio);
  brush.fillStyle = brush.strokeStyle = colour;
  brush.globalAlpha = .2;
  brush.fillRect(0, 0, size, size);
  brush.globalAlpha = .3;
  brush.lineWidth = 1.5;
  for (const x of [-size, 0, size]) {
    brush.beginPath();
    brush.moveTo(x, size);
    brush.lineTo(x + size, 0);
    brush.stroke();
  }
  const pattern = pen.createPattern(tile, 'repeat');
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

function under(event) {
  const x = event.offsetX, y = event.offsetY;
  for (let i = bars.length - 1; i >= 0; --i) {
    const at = place(bars[i]);
    if (y >= at.y && y < at.y + rowHeight && x >= at.x - 1 && x <= at.x + at.width + 1) return bars[i];
  }
  return null;
}

function tell(bar) {
  if (bar === chosen) return;
  chosen = bar;
  if (bar) {
    const saved = bar.outcome === 'hit' ? ', what took ' + timeText(bar.saved) + ' when it ran' : '';
    told.textContent = bar.command + '\n' + bar.outcome + (bar.reason ? ', because ' + bar.reason : '') + '; ' + timeText(bar.took) + saved +
      ', after ' + timeText(bar.began) + ', ' + bar.status + ', in ' + bar.directory;
  }
  draw();
}

function show(newFrom, newTo) {
  const span = Math.min(Math.max(newTo - newFrom, 20), full);
  from = Math.min(Math.max(newFrom, 0), full - span);
  to = from + span;
  draw();
}
function zoom(factor, share = .5) {
  const middle = from + (to - from) * share, span = Math.min((to - from) * factor, full);
  show(middle - span * share, middle - span * share + span);
}
const move = share => show(from + (to - from) * share, to + (to - from) * share);

let held = null;
canvas.addEventListener('pointerdown', event => {
  held = {x: event.clientX, from, to};
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener('pointerup', () => { held = null; });
canvas.addEventListener('pointermove', event => {
  if (!held) return tell(under(event));
  const moved = (held.x - event.clientX) / canvas.clientWidth * (held.to - held.from);
  show(held.from + moved, held.to + moved);
});
canvas.addEventListener('dblclick', event => {
  const bar = under(event);
  if (bar) show(bar.began - bar.took * .02, bar.began + bar.took * 1.02);
});
canvas.addEventListener('wheel', event => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoom(event.deltaY > 0 ? 1.25 : .8, event.offsetX / canvas.clientWidth);
}, {passive: false});
const keys = {'+': () => zoom(.5), '=': () => zoom(.5), '-': () => zoom(2), '0': () => show(0, full), ArrowLeft: () => move(-.2), ArrowRight: () => move(.2)};
canvas.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
document.getElementById('closer').addEventListener('click', () => zoom(.5));
document.getElementById('farther').addEventListener('click', () => zoom(2));
document.getElementById('all').addEventListener('click', () => show(0, full));
window.addEventListener('resize', draw);
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
draw();
