// What an app puts behind the # of the page's address, and what goes back the same way.
//
// A fragment is base64url of compact JSON: exactly what JSON.stringify gives back for what was parsed, so a name that
// stands twice, spaces, and other spellings of a number are refused and nothing is hidden from whoever reads along.

import { fromBase64Url, toBase64Url } from "./bytes.js";
import { Refused } from "./errors.js";

const MAX_FRAGMENT = 400_000;
// Controls, line separators, and everything that turns the reading direction or hides.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/;

export function readFragment(hash) {
  const text = hash.startsWith("#") ? hash.slice(1) : hash;
  if (text === "") {
    throw new Refused("sign.no_request", "这里没有待签名的内容。请从业务系统打开本页。", "Nothing to sign here. Open this page from the system you work in.");
  }
  if (text.length > MAX_FRAGMENT) {
    throw new Refused("sign.request_too_large", "请求过大。请分批签名。", "The request is too large. Sign in smaller groups.");
  }
  try {
    const json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(fromBase64Url(text));
    const data = JSON.parse(json);
    if (data === null || typeof data !== "object" || Array.isArray(data) || JSON.stringify(data) !== json) {
      throw new Error("not compact JSON of an object");
    }
    return data;
  } catch {
    throw new Refused("sign.request_malformed", "请求的格式不正确。", "The request is malformed.");
  }
}

export function writeFragment(data) {
  return toBase64Url(new TextEncoder().encode(JSON.stringify(data)));
}

// The app's own address, if the signing origin lists its origin. Everything the page gives away goes there only.
export function allowedReturn(value, config) {
  let url;
  try {
    url = new URL(value);
  } catch {
    throw notAllowed();
  }
  const app = config.apps.find((entry) => entry.origin === url.origin);
  if (app === undefined || typeof value !== "string" || url.href !== value || value.includes("#") || url.username || url.password) {
    throw notAllowed();
  }
  return { url: value, origin: url.origin, name: app.name };
}

function notAllowed() {
  return new Refused(
    "sign.return_not_allowed",
    "发起请求的网址不在允许的名单里。请勿签名，并告知运维人员。",
    "The site that asks is not on the list of allowed sites. Do not sign; tell the operator.",
  );
}

export function requireFields(data, names) {
  const got = Object.keys(data).sort().join(), expected = [...names].sort().join();
  if (got !== expected) {
    throw new Refused("sign.request_fields", "请求缺少内容或带有多余内容。", "The request lacks a field or has one too many.");
  }
}

export function plainText(value, longest) {
  if (typeof value !== "string" || value.length > longest || HIDDEN.test(value)) {
    throw new Refused("sign.request_text", "请求中的文字含有不允许的字符。", "A text of the request holds characters that are not allowed.");
  }
  return value;
}
