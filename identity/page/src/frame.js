// The frame around every page: language switch, demo banner, refusals, and one place where a failure ends.

import { element, replace, setLanguage, language, say } from "./dom.js";
import { Refused } from "./errors.js";
import { writeFragment } from "./fragment.js";

export function frame(title, draw) {
  const redraw = () => {
    document.title = say(title);
    document.getElementById("title").textContent = say(title);
    const toggle = document.getElementById("language");
    toggle.textContent = language() === "en" ? "中文" : "English";
    toggle.lang = language() === "en" ? "zh-CN" : "en";
    draw();
  };
  setLanguage(language());
  document.getElementById("language").addEventListener("click", () => {
    setLanguage(language() === "en" ? "zh" : "en");
    redraw();
  });
  // A new fragment is a new request: nothing of the old one may stay on the page.
  addEventListener("hashchange", () => location.reload());
  redraw();
}

export function showDemoBanner(config) {
  const banner = document.getElementById("demo");
  banner.hidden = config.purpose !== "demo";
  banner.textContent = say({
    zh: "演示系统：人员、密钥均为示范，不具法律效力。",
    en: "Demo system: people and keys are made up and have no legal effect.",
  });
}

const NOT_SIGNED = { zh: "不能签名", en: "This cannot be signed" };
export const NOT_ENROLLED = { zh: "没有登记", en: "No passkey was enrolled" };

export function main() {
  return document.getElementById("main");
}

export function explain(error) {
  if (error instanceof Refused) return error;
  return new Refused("sign.page_failed", "页面出错，没有签名。", "The page failed; nothing was signed.");
}

// A refusal, and the way back where there is an allowed one.
export function showRefusal(error, goBack, heading = NOT_SIGNED) {
  const refused = explain(error);
  const box = element(
    "section",
    { class: "card refusal", role: "alert" },
    element("h2", {}, heading),
    element("p", {}, refused.text),
    element("details", {}, element("summary", {}, { zh: "给运维人员的信息", en: "For the operator" }), element("p", { class: "code" }, refused.code)),
  );
  if (goBack) box.append(element("button", { type: "button", class: "wide", onclick: goBack }, { zh: "返回", en: "Go back" }));
  replace(main(), box);
}

export function returnTo(back, answer) {
  location.assign(`${back.url}#${writeFragment(answer)}`);
}
