"use strict";
// A browser for tests of pages: notes whatever a page must not do, and takes pictures of it.
const { chromium } = require("playwright-core");

/** Windows in which every page is looked at. */
const WINDOWS = { wide: { width: 1280, height: 860 }, narrow: { width: 390, height: 844 } };

class Browser {
  /** `base`: where pages may load from; `folder`: where pictures go, if they are wanted. */
  static async open(base, folder) {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu"],
    });
    const self = new Browser();
    Object.assign(self, { browser, base, folder, wrong: [], seen: [] });
    const context = await browser.newContext({ viewport: WINDOWS.wide, colorScheme: "light" });
    self.page = await context.newPage();
    self.page.setDefaultTimeout(30_000);
    self.page.on("request", (request) => request.url().startsWith(base) || self.wrong.push(`loads ${request.url()}`));
    self.page.on("console", (message) => {
      // A refusal that a test asks for is told here, too.
      const asked = message.text().includes("status of 401");
      if (message.type() === "error" && !asked) self.wrong.push(`${self.page.url()}: ${message.text()}`);
    });
    self.page.on("dialog", (dialog) => dialog.accept());
    self.page.on("pageerror", (error) => self.wrong.push(`${self.page.url()}: ${error}`));
    return self;
  }

  /** Looks at the page in each window, light and dark; takes pictures if they are wanted. */
  async look(name) {
    const { page } = this;
    this.seen.push(name);
    for (const [kind, size] of Object.entries(WINDOWS)) {
      await page.setViewportSize(size);
      const inner = await page.evaluate(() => document.documentElement.scrollWidth);
      if (inner > size.width) this.wrong.push(`${name} is ${inner} wide in a window of ${size.width}`);
      for (const scheme of this.folder ? ["light", "dark"] : []) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.waitForTimeout(300);
        await page.screenshot({ path: `${this.folder}/${name}-${kind}-${scheme}.png`, fullPage: true, timeout: 120_000 });
      }
      await page.emulateMedia({ colorScheme: "light" });
    }
    await page.setViewportSize(WINDOWS.wide);
  }

  /** Goes to a page and looks at it. */
  async visit(path, name) {
    await this.page.goto(this.base + path);
    await this.page.waitForSelector("h1");
    if (name) await this.look(name);
  }

  /** Fails with what was wrong so far if this does not hold. */
  check(holds, what) {
    if (!holds) this.wrong.push(what);
  }

  /** Waits for something on the page; a word about what it was if it does not come. */
  async until(what, holds, argument, timeout = 30_000) {
    try {
      await this.page.waitForFunction(holds, argument, { timeout, polling: 100 });
    } catch {
      const text = (await this.page.textContent("body").catch(() => "")).slice(0, 2000);
      throw new Error(`it does not come to be that ${what}: ${this.page.url()}: ${text}\n${this.wrong.join("\n")}`);
    }
  }

  /** Ends; exit code 1 if anything was wrong. */
  async end() {
    await this.browser.close();
    if (this.wrong.length > 0) {
      console.error(this.wrong.join("\n"));
      process.exit(1);
    }
    console.log(`${this.seen.length} pages looked at: ${this.seen.join(" ")}`);
  }
}

/** Runs a story in a browser. */
function run(story) {
  story().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { Browser, run };
