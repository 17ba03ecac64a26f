"use strict";
// map.js ADDRESS TOKEN NODES NETWORKS [FOLDER]: the swarm map of a swarm with so many nodes in so many networks.
const { Browser, run } = require("./browser.js");
const [address, token, nodes, networks, folder] = process.argv.slice(2);

run(async () => {
  const browser = await Browser.open(new URL(address).origin, folder);
  const { page } = browser;
  await page.goto(`${browser.base}/#token=${encodeURIComponent(token)}`);
  await page.waitForSelector("nav a[aria-current]");
  const asked = Date.now();
  await browser.visit("/map");
  await browser.until("all nodes are there", (nodes) => document.getElementById("map").dataset.drawn === nodes, nodes);
  console.log(`${nodes} nodes drawn after ${Date.now() - asked} ms`);
  browser.check((await page.textContent("#map-count")).startsWith(`${nodes} nodes in ${networks} networks`), await page.textContent("#map-count"));

  // Colours of viewers, servers and rings are on the canvas; nothing of it lies outside.
  const colours = await page.evaluate(() => {
    const canvas = document.getElementById("map");
    const style = getComputedStyle(document.documentElement);
    const draw = canvas.getContext("2d");
    const { data } = draw.getImageData(0, 0, canvas.width, canvas.height);
    const count = {};
    for (const name of ["headend", "repeater", "viewer"]) {
      draw.fillStyle = style.getPropertyValue(`--${name}`).trim();
      const hex = parseInt(draw.fillStyle.slice(1), 16);
      const [r, g, b] = [hex >> 16, (hex >> 8) & 255, hex & 255];
      count[name] = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) count[name] += 1;
      }
    }
    return count;
  });
  for (const [name, pixels] of Object.entries(colours)) browser.check(pixels > 20, `${pixels} pixels of ${name}`);

  // The network under the pointer is explained.
  const box = await page.locator("#map").boundingBox();
  let told = "";
  for (let y = 20; y < box.height && !told; y += 25) {
    for (let x = 20; x < box.width && !told; x += 25) {
      await page.mouse.move(box.x + x, box.y + y);
      told = await page.locator("#map-tip").evaluate((tip) => (tip.hidden ? "" : tip.textContent));
    }
  }
  browser.check(/AS \d+.*: \d+ viewers, \d+ stalls, /.test(told), `the pointer finds ${JSON.stringify(told)}`);
  await page.mouse.move(box.x - 5, box.y - 5);
  await browser.look(`map-${nodes}`);
  await browser.end();
});
