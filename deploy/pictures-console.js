"use strict";
// pictures-console.js ADDRESS FOLDER: see pictures-console.sh.
const { chromium } = require("playwright-core");
const [address, folder] = process.argv.slice(2);
const base = new URL(address).origin;
const wrong = [];

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  page.on("request", (request) => request.url().startsWith(base) || wrong.push(`loads ${request.url()}`));
  page.on("console", (message) => message.type() === "error" && wrong.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`${page.url()}: ${error}`));

  const take = async (name) => {
    for (const [kind, width, height] of [["wide", 1280, 860], ["narrow", 390, 844]]) {
      await page.setViewportSize({ width, height });
      await page.waitForTimeout(400);
      const inner = await page.evaluate(() => document.documentElement.scrollWidth);
      if (inner > width) wrong.push(`${name} is ${inner} wide in a window of ${width}`);
      await page.screenshot({ path: `${folder}/${name}-${kind}.png`, fullPage: true });
    }
    await page.setViewportSize({ width: 1280, height: 860 });
  };
  const visit = async (path, name) => {
    await page.goto(base + path);
    await page.waitForSelector("h1");
    await take(name);
  };

  await page.goto(base + "/");
  await take("sign-in");
  // The link carries the token: the script signs in with it.
  await page.goto("about:blank");
  await page.goto(address);
  await page.waitForSelector("nav a[aria-current]");
  // Somebody watches, and figures are there.
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector("#tiles dd")?.textContent ?? ""), null, { timeout: 120_000 });
  await page.waitForTimeout(25_000);
  await take("overview");
  const before = await page.textContent("#tiles");
  await page.waitForFunction((before) => document.querySelector("#tiles").textContent !== before, before, { timeout: 60_000 });
  await page.click("#channels a");
  await page.waitForSelector(".substreams");
  await take("channel");
  await visit("/map", "map");
  await page.waitForFunction(() => Number(document.getElementById("map").dataset.drawn) > 0);
  await take("map");
  for (const name of ["viewers", "repeaters", "prefixes", "nodes", "keys"]) await visit(`/${name}`, name);

  await page.goto(base + "/packages");
  await page.fill(".add [name=name]", "sport");
  await page.fill(".add [name=channels]", "one two");
  await page.click(".add button");
  await page.waitForSelector(".done");
  await take("packages");
  await page.goto(base + "/accounts");
  const form = page.locator("form.add").first();
  await form.locator("[name=user]").fill("berta");
  await form.locator("[name=password]").fill("a good password");
  await form.locator("[name=packages]").fill("sport");
  await form.locator("button").click();
  await page.waitForSelector(".done");
  await take("accounts");
  await visit("/audit", "audit");
  const log = await page.textContent("main");
  for (const act of ["user added", "package set", "berta", "sport"]) if (!log.includes(act)) wrong.push(`the audit log lacks "${act}"`);
  await browser.close();
  if (wrong.length > 0) {
    console.error(wrong.join("\n"));
    process.exit(1);
  }
}
main().catch((error) => { console.error(error, wrong); process.exit(1); });
