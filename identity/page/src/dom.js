// Building the page without ever parsing HTML: elements, text, and the two languages.

const LANGUAGE_KEY = "shelian.language";

export function language() {
  try {
    return localStorage.getItem(LANGUAGE_KEY) === "en" ? "en" : "zh";
  } catch {
    return "zh";
  }
}

export function setLanguage(value) {
  try {
    localStorage.setItem(LANGUAGE_KEY, value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  document.documentElement.lang = value === "en" ? "en" : "zh-CN";
}

// A text is a string (a name, a number) or {zh, en}.
export function say(text) {
  return typeof text === "string" ? text : text[language()];
}

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat()) node.append(typeof child === "object" && child.nodeType ? child : say(child));
  return node;
}

export function replace(node, ...children) {
  node.replaceChildren(...children.flat());
}

// A long identifier as its two ends, with a button that copies the whole.
export function shortened(hex) {
  if (hex.length <= 14) return element("span", { class: "id" }, hex);
  const copy = element(
    "button",
    {
      type: "button",
      class: "copy",
      "aria-label": say({ zh: `复制完整编号 ${hex.slice(2, 8)}`, en: `Copy the whole id ${hex.slice(2, 8)}` }),
      onclick: async () => {
        await navigator.clipboard.writeText(hex);
        copy.textContent = say({ zh: "已复制", en: "Copied" });
      },
    },
    { zh: "复制", en: "Copy" },
  );
  return element("span", { class: "id" }, element("span", { title: hex }, `${hex.slice(2, 8)}…${hex.slice(-4)}`), copy);
}

// A time in China, as the 24-hour clock shows it.
export function dateTime(seconds, inLanguage = language()) {
  const format = new Intl.DateTimeFormat(inLanguage === "en" ? "en-GB" : "zh-CN", {
    timeZone: "Asia/Shanghai", year: "numeric", month: "long", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  return format.format(new Date(seconds * 1000));
}
