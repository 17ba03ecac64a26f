// Draws a swarm (a module: its names are its own): servers in the middle, around them the networks of its viewers, each viewer a dot.

const canvas = document.getElementById("map");
const tip = document.getElementById("map-tip");
const count = document.getElementById("map-count");
const EVERY_MS = 3000;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));
let data = null;
let placed = [];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Circles around the middle, one after the other outwards, none upon another.
function arrange(groups, width, height, scale) {
  const middle = { x: width / 2, y: height / 2 };
  const core = Math.min(width, height) * 0.16;
  const done = [];
  // A few stand around the middle; more fill it up from above.
  const first = groups.length < 7 ? (index) => (index / groups.length) * 2 * Math.PI : () => 0;
  for (const [index, group] of groups.entries()) {
    const r = scale * Math.sqrt(group.viewers) + 9;
    let best = null;
    const pace = Math.max(4, r / 3);
    for (let out = core + r; best === null; out += pace) {
      const steps = Math.max(8, Math.floor((2 * Math.PI * out) / Math.max(8, r / 2)));
      for (let i = 0; i < steps; i += 1) {
        const turn = first(index) + (i / steps) * 2 * Math.PI - Math.PI / 2;
        const x = middle.x + Math.cos(turn) * out * Math.max(1, width / height) * 0.9;
        const y = middle.y + Math.sin(turn) * out * Math.max(1, height / width) * 0.9;
        if (done.every((other) => Math.hypot(other.x - x, other.y - y) > other.r + r + 16)) {
          best = { x, y, r, group };
          break;
        }
      }
    }
    done.push(best);
  }
  return done;
}

// Where everything was, and for what: places stay as they are as long as the networks are about as large.
let kept = { key: "", found: null };

// The greatest scale at which everything is inside.
function fit(groups, width, height) {
  const sizes = groups.map((group) => `${group.name} ${Math.round(Math.log2(group.viewers) * 4)}`);
  const key = `${width} ${height} ${sizes.sort().join()}`;
  if (kept.key !== key) kept = { key, found: search(groups, width, height) };
  const { places, scale } = kept.found;
  const now = new Map(groups.map((group) => [group.name, group]));
  return { places: places.map((place) => ({ ...place, group: now.get(place.group.name) })), scale };
}

function search(groups, width, height) {
  let scale = 30;
  for (let i = 0; i < 28; i += 1) {
    const places = arrange(groups, width, height, scale);
    const inside = places.every(({ x, y, r }) => x - r > 4 && x + r < width - 4 && y - r > 16 && y + r < height - 4);
    if (inside || i === 27) return { places, scale };
    scale *= 0.86;
  }
}

function dot(draw, x, y, r, fill) {
  draw.beginPath();
  draw.arc(x, y, r, 0, 2 * Math.PI);
  draw.fillStyle = fill;
  draw.fill();
}

// Names of networks, the largest first, as far as they cover nothing.
function label(draw, places, colour) {
  draw.fillStyle = colour;
  draw.textAlign = "center";
  draw.font = "12px system-ui, sans-serif";
  const taken = [];
  for (const { x, y, r, group } of places) {
    const words = `${group.name}: ${group.viewers}`;
    const half = draw.measureText(words).width / 2;
    const box = { left: x - half, right: x + half, top: y - r - 17, bottom: y - r - 3 };
    const covers = (other) => box.left < other.right + 3 && box.right > other.left - 3 && box.top < other.bottom && box.bottom > other.top;
    const disc = (place) => {
      const [dx, dy] = [place.x - Math.max(box.left, Math.min(place.x, box.right)), place.y - Math.max(box.top, Math.min(place.y, box.bottom))];
      return Math.hypot(dx, dy) < place.r;
    };
    if (taken.some(covers) || places.some(disc)) continue;
    taken.push(box);
    draw.fillText(words, x, y - r - 6);
  }
}

function paint() {
  if (!data) return;
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const draw = canvas.getContext("2d");
  draw.scale(ratio, ratio);
  const colours = Object.fromEntries(["headend", "repeater", "viewer", "late", "bad", "line"].map((name) => [name, colour(name)]));
  const text = getComputedStyle(canvas).color;
  const groups = data.groups.map((group, index) => ({ ...group, index })).filter((group) => group.viewers > 0);
  groups.sort((a, b) => b.viewers - a.viewers);
  const { places, scale } = fit(groups, width, height);
  placed = places;
  const middle = { x: width / 2, y: height / 2 };

  draw.lineWidth = 1;
  for (const { x, y } of places) {
    draw.strokeStyle = colours.line;
    draw.beginPath();
    draw.moveTo(middle.x, middle.y);
    draw.lineTo(x, y);
    draw.stroke();
  }
  const viewers = new Map(places.map((place) => [place.group.index, []]));
  const servers = [[], []];
  for (const node of data.drawn) {
    if (node[1] === 2) viewers.get(node[0])?.push(node);
    else servers[node[1]].push(node);
  }
  for (const place of places) {
    const { x, y, r, group } = place;
    draw.beginPath();
    draw.arc(x, y, r, 0, 2 * Math.PI);
    draw.fillStyle = getComputedStyle(document.body).backgroundColor === "rgba(0, 0, 0, 0)" ? "Canvas" : "Canvas";
    draw.fill();
    // The ring: who feeds this network.
    const all = group.received.reduce((a, b) => a + b, 0);
    let from = -Math.PI / 2;
    draw.lineWidth = 4;
    if (all === 0) {
      draw.strokeStyle = colours.line;
      draw.stroke();
    } else {
      for (const [i, name] of [[2, "viewer"], [1, "repeater"], [0, "headend"]]) {
        const to = from + (group.received[i] / all) * 2 * Math.PI;
        draw.beginPath();
        draw.arc(x, y, r, from, to);
        draw.strokeStyle = colours[name];
        draw.stroke();
        from = to;
      }
    }
    const list = viewers.get(group.index);
    // Dots like the seeds of a sunflower: even at 5 and at 5000.
    const room = (r - 7) / Math.sqrt(Math.max(1, list.length));
    const size = Math.max(0.7, Math.min(9, room * 0.5));
    list.forEach(([, , pushed, lag, stalls], i) => {
      const out = room * Math.sqrt(i + 0.5) * 0.94;
      const fill = stalls > 0 ? colours.bad : lag > data.delay_ms ? colours.late : colours.viewer;
      draw.globalAlpha = pushed > 0 ? 1 : 0.55;
      dot(draw, x + Math.cos(i * GOLDEN) * out, y + Math.sin(i * GOLDEN) * out, size, fill);
    });
    draw.globalAlpha = 1;
  }
  label(draw, places, text);
  const core = Math.min(width, height) * 0.12;
  servers[1].forEach((_, i) => {
    const turn = (i / servers[1].length) * 2 * Math.PI;
    const r = servers[1].length > 40 ? 3 : 7;
    dot(draw, middle.x + Math.cos(turn) * core * 0.75, middle.y + Math.sin(turn) * core * 0.75, r, colours.repeater);
  });
  servers[0].forEach((_, i) => dot(draw, middle.x + i * 22 - (servers[0].length - 1) * 11, middle.y, 9, colours.headend));
  const shown = data.drawn.length < data.nodes ? `; ${data.drawn.length} of them drawn` : "";
  count.textContent = `${data.nodes} nodes in ${data.groups.length} networks${shown}`;
}

async function ask() {
  if (document.hidden) return;
  const reply = await fetch(`/map.json?swarm=${canvas.dataset.swarm}`).catch(() => null);
  if (reply?.ok) {
    data = await reply.json();
    paint();
    canvas.dataset.drawn = data.nodes;
  }
}

function explain(event) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const found = placed.find((place) => Math.hypot(place.x - x, place.y - y) <= place.r + 4);
  tip.hidden = !found;
  if (!found) return;
  const { group } = found;
  const all = group.received.reduce((a, b) => a + b, 0);
  const offload = all > 0 ? `${Math.round((group.received[2] / all) * 100)} % from viewers` : "nothing received yet";
  tip.textContent = `${group.name}: ${group.viewers} viewers, ${group.stalls} stalls, ${offload}`;
  tip.style.left = `${Math.min(x + 12, box.width - 180)}px`;
  tip.style.top = `${y + 12}px`;
}

canvas.addEventListener("pointermove", explain);
canvas.addEventListener("pointerdown", explain);
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
addEventListener("resize", paint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
ask();
setInterval(ask, EVERY_MS);
