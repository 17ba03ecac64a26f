"use strict";
// Polls the JSON that anybody may read, and with the administrator's token the live map.

const byId = (id) => document.getElementById(id);
const POLL_MS = 1000;
let shown = null;

// A link may carry the token behind "#token=": that part never leaves the browser.
const handed = new URLSearchParams(location.hash.slice(1)).get("token");
if (handed) {
  sessionStorage.setItem("token", handed);
  history.replaceState(null, "", location.pathname);
}

function row(cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    if (cell instanceof Node) td.append(cell);
    else if (cell && typeof cell === "object") {
      td.textContent = cell.text;
      td.className = cell.className;
    } else td.textContent = cell ?? "–";
    tr.append(td);
  }
  return tr;
}

function fill(id, rows, otherwise) {
  const body = byId(id);
  if (rows.length === 0) {
    const tr = row([otherwise]);
    tr.firstChild.colSpan = 20;
    rows = [tr];
  }
  body.replaceChildren(...rows);
}

const percent = (share) => (share === null ? null : `${Math.round(share * 100)} %`);
const ms = (value) => (value === null ? null : `${value} ms`);
const sum = (by) => by.headend + by.repeater + by.viewer;

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${count.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

async function get(path, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const reply = await fetch(path, { headers });
  const body = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(body.detail ?? reply.statusText), { status: reply.status });
  return body;
}

function showChannels({ channels }) {
  const rows = channels.map((channel) =>
    row([
      channel.number,
      channel.id,
      channel.name,
      channel.live ? { text: "on air", className: "live" } : { text: "off air", className: "off" },
      channel.renditions.map((r) => `${r.name} ${(r.bitrate / 1e6).toFixed(1)} Mbit/s`).join(", "),
    ]),
  );
  fill("channels", rows, "No channel has been published yet.");
}

function showMap(map) {
  byId("sessions").textContent = map.sessions;
  const all = sum(map.received);
  const totals = [
    ["Viewers", map.viewers],
    ["Media received", bytes(all)],
    ["of it from viewers", all > 0 ? percent(map.received.viewer / all) : "–"],
  ];
  byId("totals").replaceChildren(
    ...totals.map(([name, value]) => {
      const div = document.createElement("div");
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      div.append(dt, dd);
      return div;
    }),
  );
  const rows = map.swarms.map((swarm) => {
    const open = document.createElement("button");
    open.className = "link";
    open.textContent = swarm.channel;
    open.addEventListener("click", () => {
      shown = shown === swarm.id ? null : swarm.id;
      poll();
    });
    return row([
      open,
      swarm.rendition,
      `${swarm.k} of ${swarm.n}`,
      swarm.live ? swarm.nodes.headend : { text: "off air", className: "off" },
      swarm.nodes.repeater,
      swarm.nodes.viewer,
      sum(swarm.free),
      percent(swarm.offload),
      ms(swarm.lag_ms),
      ms(swarm.startup_ms),
      swarm.stalls,
    ]);
  });
  fill("swarms", rows, "No swarm.");
}

function showDetail({ swarm, members }) {
  byId("detail-name").textContent = `${swarm.channel}, ${swarm.rendition}`;
  const rows = members.map((member) =>
    row([
      member.peer.slice(0, 8),
      member.publishes ? `${member.role}, publishes` : member.role,
      member.location.subset,
      member.location.asn,
      member.location.country,
      member.reported ? member.have.length : null,
      member.free,
      member.pushed,
      bytes(sum(member.bytes_in)),
      bytes(sum(member.bytes_out)),
      member.reported ? ms(member.lag_ms) : null,
      member.stalls,
      `${member.age_s} s ago`,
    ]),
  );
  fill("members", rows, "Nobody.");
}

let polling = false;
async function poll() {
  if (polling) return;
  polling = true;
  try {
    showChannels(await get("v1/channels"));
    const token = sessionStorage.getItem("token");
    if (token) {
      showMap(await get("v1/swarms", token));
      if (shown) showDetail(await get(`v1/swarms/${shown}`, token));
    }
    byId("map").hidden = !token;
    byId("sign-in").hidden = Boolean(token);
    byId("detail").hidden = !token || !shown;
    byId("problem").textContent = "";
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      sessionStorage.removeItem("token");
      byId("map").hidden = true;
      byId("sign-in").hidden = false;
      byId("problem").textContent = error.message;
    } else if (error.status === 404) {
      shown = null;
    } else {
      byId("problem").textContent = "rendezvous does not answer; the figures are old";
    }
  } finally {
    polling = false;
  }
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value);
  byId("token").value = "";
  poll();
});

byId("operator").hidden = false;
poll();
setInterval(() => document.hidden || poll(), POLL_MS);
