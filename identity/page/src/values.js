// How a descriptor's field shows a value. Every format gives {text} (a string or {zh, en}) or {id} (long hex, shortened).

import { dateTime } from "./dom.js";
import { Refused } from "./errors.js";
import { plainText } from "./fragment.js";

const NONE = { zh: "无", en: "none" };
const OUTSIDE = 0xff00;

// A value or a list of values, by `field.format`. Throws Refused for a format that is not known here.
export function render(field, value, context) {
  if (!Array.isArray(value)) return one(field, value, context);
  const parts = value.map((item) => one(field, item, context)).filter((part) => !isNothing(part));
  if (parts.length === 0) return { text: NONE };
  if (parts.length === 1) return parts[0];
  return { text: joined(parts.map((part) => part.id ?? part.text), "、", ", ") };
}

function one(field, value, context) {
  const format = FORMATS[field.format];
  if (format === undefined) {
    throw new Refused("sign.no_descriptor", "有一项操作没有可读的说明，不能在这里签名。", "An action has no readable description and cannot be signed here.");
  }
  const params = field.params ?? {};
  if (params.zero !== undefined && isZero(value)) return { text: params.zero };
  return format(value, params, context);
}

const FORMATS = {
  raw: (value) => (isLongHex(value) ? { id: value } : { text: typeof value === "boolean" ? yesNo(value) : plainText(String(value), 10_000) }),
  text: (value) => ({ text: plainText(utf8(value), 1_000) }),
  date: (value) => ({ text: { zh: dateTime(Number(value), "zh"), en: dateTime(Number(value), "en") } }),
  duration: (value) => ({ text: duration(Number(value)) }),
  unit: (value, { base }) => ({ text: both(base, (unit) => `${value} ${unit}`) }),
  enum: (value, params, context) => ({ text: labelOf(Number(value), table(params, context)) }),
  addressName(value, _, context) {
    const address = value.toLowerCase();
    return context.contracts[address] ? { text: context.contracts[address] } : { id: address };
  },
  "shelian.id": (value) => (isZero(value) ? { text: NONE } : { id: value }),
  "shelian.identity": (value) => ({ id: value }),
  "shelian.organisation": (value, _, context) => ({ text: organisation(value, context) }),
  "shelian.addressees"(value, params, context) {
    if (value === 0) return { text: NONE };
    if (value < OUTSIDE) return { text: organisation(value, context) };
    const kind = labelOf(value - OUTSIDE, table(params, context));
    return { text: { zh: `${kind.zh}（网外）`, en: `${kind.en} (outside the network)` } };
  },
  "shelian.flags": (value, params, context) => bits(value, (bit) => 2 ** bit, table(params, context)),
  "shelian.kinds": (value, params, context) => bits(value, (bit) => bit, table(params, context)),
};

function bits(value, keyOf, labels) {
  const set = [];
  for (let bit = 0, rest = BigInt(value); rest > 0n; bit += 1, rest >>= 1n) {
    if (rest & 1n) set.push(labelOf(keyOf(bit), labels));
  }
  return { text: set.length ? joined(set, "、", ", ") : NONE };
}

function table(params, context) {
  return context.enums[params.$ref.replace("$.metadata.enums.", "")];
}

function labelOf(number, labels) {
  return labels[String(number)] ?? { zh: `未知（${number}）`, en: `unknown (${number})` };
}

function organisation(number, context) {
  return context.organisations[String(number)] ?? { zh: `单位 ${number}`, en: `organisation ${number}` };
}

function yesNo(value) {
  return value ? { zh: "是", en: "yes" } : { zh: "否", en: "no" };
}

function duration(seconds) {
  const units = [[86_400, "天", "days"], [3_600, "小时", "hours"], [60, "分钟", "minutes"], [1, "秒", "seconds"]];
  const [size, zh, en] = units.find(([size]) => seconds % size === 0);
  return { zh: `${seconds / size} ${zh}`, en: `${seconds / size} ${en}` };
}

function utf8(hex) {
  const bytes = Uint8Array.from(hex.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return hex;
  }
}

function both(text, change) {
  return typeof text === "string" ? change(text) : { zh: change(text.zh), en: change(text.en) };
}

function joined(texts, zh, en) {
  const pick = (language) => texts.map((text) => (typeof text === "string" ? text : text[language]));
  return { zh: pick("zh").join(zh), en: pick("en").join(en) };
}

function isNothing(part) {
  return part.text === NONE;
}

function isLongHex(value) {
  return typeof value === "string" && /^0x[0-9a-fA-F]{16,}$/.test(value);
}

function isZero(value) {
  return typeof value === "string" ? /^0x0*$/.test(value) : Number(value) === 0;
}
