"use strict";
// console.js ADDRESS TOKEN [FOLDER]: the operator's console of a platform with a channel "one" of two renditions, two
// repeaters and five viewers. Signs in, looks at every page, and does what an operator does. With FOLDER, pictures of
// all pages go there.
const { Browser, run } = require("./browser.js");
const [address, token, folder] = process.argv.slice(2);

run(async () => {
  const browser = await Browser.open(new URL(address).origin, folder);
  const { page } = browser;
  const text = async () => page.textContent("main");

  const send = async (form, fields, button) => {
    for (const [name, value] of Object.entries(fields)) {
      const field = form.locator(`[name="${name}"]`);
      const kind = await field.evaluate((element) => element.tagName);
      await (kind === "SELECT" ? field.selectOption(value) : field.fill(value));
    }
    await form.locator(button ? `button:has-text("${button}")` : "button").first().click();
    await page.waitForSelector(".done");
  };
  const form = (index) => page.locator("form.add").nth(index);

  // Signing in.
  await browser.visit("/");
  browser.check((await text()).includes("one"), "the line-up is shown to everybody");
  await browser.look("sign-in");
  await page.fill("[name=token]", "a guess");
  await page.click("button:has-text('Sign in')");
  await page.waitForSelector(".failed");
  await page.fill("[name=token]", token);
  await page.click("button:has-text('Sign in')");
  await page.waitForSelector("nav a[aria-current]");

  // Overview: the figures are those of five viewers, and live.
  const tile = (name) => `Array.from(document.querySelectorAll("#tiles .tile")).find((tile) => tile.querySelector("dt").textContent === "${name}")?.querySelector("dd").textContent`;
  await browser.until("five viewers are counted", `${tile("Viewers now")} === "5"`);
  await browser.until("an offload is told", `/^\\d+ %$/.test(${tile("Offload")})`);
  await browser.until("a start time is told", `/ms$|s$/.test(${tile("Start time")})`);
  const before = await page.textContent("#tiles");
  await browser.until("the figures move by themselves", (before) => document.querySelector("#tiles").textContent !== before, before);
  if (folder) await page.waitForTimeout(25_000);
  await browser.look("overview");

  // A channel: its picture, its sources, its renditions, who is where, who carries it.
  await page.click("#channels a");
  await browser.until("the channel's picture is there", () => document.querySelector("img.preview")?.naturalWidth > 0);
  const shown = await page.getAttribute("img.preview", "src");
  await browser.until("the picture is of now", (shown) => document.querySelector("img.preview")?.getAttribute("src") !== shown, shown);
  await browser.until("the source is fit", () => /fit/.test(document.querySelector("#source table").textContent));
  for (const says of ["Rendition main", "Rendition small", "AS 64501", "AS 64502", "DE", "Who gives most", "publishes"]) {
    browser.check((await text()).includes(says), `the channel's page lacks ${says}`);
  }
  const bars = await page.locator("#rendition-main .substreams li").count();
  browser.check(bars === 12, `${bars} sub-streams instead of 12`);
  await browser.look("channel");

  // One more channel, which a headend takes on the air; mistakes are told in its words; and away with it.
  await browser.visit("/channels");
  await send(form(0), { id: "third", name: "The <third>", kind: "test", width: "160", height: "90", bitrate: "150" });
  const row = page.locator("tr", { hasText: "third" });
  for (let i = 0; !((await row.count()) > 0 && (await row.textContent()).includes("on air")); i += 1) {
    if (i > 100) throw new Error(`the new channel does not come on air: ${await text()}`);
    await page.waitForTimeout(300);
    await browser.visit("/channels");
  }
  await browser.look("channels");
  await form(0).locator("[name=id]").fill("fourth");
  await form(0).locator("[name=name]").fill("Fourth");
  await form(0).locator("[name=more]").fill("delay = 3");
  await form(0).locator("button").click();
  await page.waitForSelector(".failed");
  browser.check(/delay/.test(await page.textContent(".failed")), await page.textContent(".failed"));
  await page.locator("tr", { hasText: "third" }).locator("button").click();
  await page.waitForSelector(".done");

  // The map.
  await browser.visit("/map");
  await browser.until("the map is drawn", () => Number(document.getElementById("map").dataset.drawn) >= 8);
  await browser.look("map");

  // Repeaters: who is where, how they are.
  await browser.visit("/repeaters", "repeaters");
  const repeaters = await page.locator("#repeaters tbody tr").allTextContents();
  browser.check(repeaters.length === 2, `${repeaters.length} repeaters`);
  browser.check(repeaters.every((row) => row.includes("healthy") && row.includes("braidcast-repeater/")), `repeaters: ${repeaters}`);

  // Viewers: one is stopped, and gone within ten seconds.
  await browser.visit("/viewers", "viewers");
  const rows = page.locator("#viewers tbody tr");
  browser.check((await rows.count()) === 5, `${await rows.count()} viewers`);
  const stopped = Date.now();
  await rows.first().locator("button").click();
  await page.waitForSelector(".done");
  await browser.until("the session is gone", () => document.querySelectorAll("#viewers tbody tr").length === 4, null, 10_000);
  console.log(`a session that was stopped is gone after ${((Date.now() - stopped) / 1000).toFixed(1)} s`);

  // Packages, accounts, prefixes, nodes.
  await browser.visit("/packages");
  await send(form(0), { name: "sport", channels: "one two" });
  await browser.look("packages");
  await browser.visit("/accounts");
  await send(form(0), { user: "carla", password: "a good password", packages: "sport" });
  await browser.look("accounts");
  const carla = page.locator("tr", { hasText: "carla" });
  await carla.locator("button:has-text('Disable')").click();
  await page.waitForSelector("tr:has-text('carla') b.bad");
  await page.locator("tr", { hasText: "carla" }).locator("button:has-text('Enable')").click();
  await page.waitForSelector("tr:has-text('carla') >> text=active");
  await send(form(1), { user: "carla", password: "another good password" });
  await browser.visit("/accounts");
  await form(0).locator("[name=user]").fill("carla");
  await form(0).locator("[name=password]").fill("a good password");
  await form(0).locator("button").click();
  await page.waitForSelector(".failed");
  await browser.visit("/prefixes");
  await send(form(0), { prefix: "192.0.2.0/24", subset: "7", asn: "64500", country: "ch" });
  browser.check((await text()).includes("192.0.2.0/24"), "the prefix is not listed");
  await browser.look("prefixes");
  await browser.visit("/nodes");
  await send(form(0), { name: "isp-two", role: "repeater" });
  browser.check((await page.textContent(".done")).includes("credential"), "the credential is not shown");
  await browser.look("nodes");

  // Keys, and the log of all that.
  await browser.visit("/keys");
  const keys = await page.locator("table").first().locator("tbody tr").count();
  await page.click("button:has-text('new key')");
  await page.waitForSelector(".done");
  browser.check((await page.locator("table").first().locator("tbody tr").count()) === keys + 1, "no new key");
  await browser.look("keys");
  await browser.visit("/audit", "audit");
  const log = await text();
  for (const act of ["channel set", "channel removed", "user added", "package set", "prefix set", "node added", "session ended", "keys rotated", "carla", "sport"]) {
    browser.check(log.includes(act), `the audit log lacks "${act}": ${log.slice(0, 1500)}`);
  }
  await browser.visit("/");
  await page.click("button:has-text('Sign out')");
  await page.waitForSelector("[name=token]");
  await browser.end();
});
