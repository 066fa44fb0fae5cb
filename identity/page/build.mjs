// Builds static/*.js from src/, gathers the licences of what is bundled, and pins every file of static/ in PINNED.json.
//
//   npm ci --ignore-scripts && node build.mjs [output folder, default: this one]

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? here);
const statics = join(out, "static");
if (out !== here) cpSync(join(here, "static"), statics, { recursive: true });
mkdirSync(statics, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: ["sign", "register", "demo"].map((name) => join("src", `${name}.js`)),
  outdir: statics,
  bundle: true,
  format: "iife",
  target: ["es2022"],
  minify: true,
  charset: "utf8",
  legalComments: "none",
  metafile: true,
});

const packages = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const found = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)(?:\/node_modules\/((?:@[^/]+\/)?[^/]+))?/);
  if (found) packages.add(found[2] ? join(found[1], "node_modules", found[2]) : found[1]);
}
const notices = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { name: title, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : `License: ${license}`;
  return `${title} ${version} (${license})\n\n${text}\n`;
});
writeFileSync(join(statics, "THIRD-PARTY.txt"), `Bundled into the scripts of this folder:\n\n${notices.join("\n---\n\n")}`);

const files = {};
for (const name of readdirSync(statics).sort()) {
  files[name] = createHash("sha256").update(readFileSync(join(statics, name))).digest("hex");
}
writeFileSync(join(out, "PINNED.json"), `${JSON.stringify({ format: "shelian-page/1", files }, null, 1)}\n`);
