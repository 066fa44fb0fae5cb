// The signing page: read the request, show what it does, have the device sign it, go back.

import { toHex } from "./bytes.js";
import { findCredential, loadConfig } from "./config.js";
import { describe, group } from "./describe.js";
import { dateTime, element, replace, shortened, say } from "./dom.js";
import { Refused } from "./errors.js";
import { readFragment } from "./fragment.js";
import { explain, frame, main, returnTo, showDemoBanner, showRefusal } from "./frame.js";
import { keyFields, keyOf, pairOrigin, signWithKeyFile } from "./keyfile.js";
import { signWithPasskey } from "./passkey.js";
import { SCHEMES, checkRequest } from "./request.js";
import { senderAddress, signedTransaction, signingHash } from "./transaction.js";

const TITLE = { zh: "签名确认", en: "Confirm and sign" };

async function start() {
  let draw = () => replace(main(), element("p", { class: "quiet" }, { zh: "正在读取…", en: "Reading…" }));
  frame(TITLE, () => draw());
  const show = (next) => {
    draw = next;
    draw();
  };
  let config;
  try {
    config = await loadConfig();
    showDemoBanner(config);
    await open(config, show);
  } catch (error) {
    const goBack = error.back && (() => refuse(error.back, error.state, error));
    show(() => showRefusal(error, goBack));
  }
}

async function open(config, show) {
  const data = readFragment(location.hash);
  await pairOrigin(data.return_to, config, show);
  let request;
  try {
    request = checkRequest(data, config, Math.floor(Date.now() / 1000));
    request.actions = group(request.calls.map((call) => describe(call, config)));
    request.hash = signingHash(request);
    // The longest signature of any scheme is shorter than 4096 bytes: too large now is too large then.
    signedTransaction(request, new Uint8Array(4096));
  } catch (error) {
    error.back ??= request?.back;
    error.state = typeof data.state === "string" ? data.state : "";
    throw error;
  }
  const device = config.device === "key-file" ? await keyFileDevice(request, config) : await passkeyDevice(request, config);
  show(() => drawRequest(request, config, device));
}

async function passkeyDevice(request, config) {
  const entry = await findCredential(toHex(senderAddress(request.scheme, request.publicKey)));
  if (entry?.kind === "signer" && config.signer_page) {
    return {
      elsewhere: true,
      hint: {
        zh: "此人的密钥在本机签名器中，不是通行密钥。",
        en: "This person's key is in the signer on this machine; it is no passkey.",
      },
      action: { zh: "转到签名器", en: "Open the signer" },
      sign: () => location.assign(`${config.signer_page}${location.hash}`),
    };
  }
  return {
    hint: {
      zh: "点“确认签名”后，设备会请您用指纹、面容或 PIN 验证本人。",
      en: "After “Sign”, the device asks for your fingerprint, face or PIN.",
    },
    action: { zh: "确认签名", en: "Sign" },
    sign: () => signWithPasskey(request.hash, request, config),
  };
}

async function keyFileDevice(request, config) {
  const key = await keyOf(request, config);
  const fields = keyFields(key, config);
  return {
    hint: {
      zh: `由本机签名器用密钥文件“${key.label}”签名，密钥不会离开这台电脑。`,
      en: `The signer on this machine signs with the key file “${key.label}”; the key never leaves it.`,
    },
    fields: fields.nodes,
    action: { zh: "确认签名", en: "Sign" },
    sign: () => signWithKeyFile(request, key, fields.passphrase(), config),
  };
}

function drawRequest(request, config, device) {
  const problem = element("p", { class: "problem", role: "alert" });
  const sign = element("button", { type: "submit", class: "wide primary" }, device.action);
  const decline = element(
    "button",
    { type: "button", class: "wide", onclick: () => refuse(request.back, request.state, declined()) },
    { zh: "不签，返回", en: "Decline" },
  );
  const form = element(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        problem.textContent = "";
        sign.disabled = true;
        try {
          if (request.validUntil <= Date.now() / 1000) {
            throw new Refused("sign.expired", "请求已过期。请回到业务系统重新发起。", "The request has expired. Start again from the system you work in.");
          }
          const signature = await device.sign();
          if (device.elsewhere) return;
          returnTo(request.back, { v: 1, state: request.state, raw: toHex(signedTransaction(request, signature)) });
        } catch (error) {
          problem.textContent = say(explain(error).text);
          sign.disabled = false;
        }
      },
    },
    element("section", { class: "card" }, element("p", { class: "quiet" }, device.hint), device.fields ?? []),
    element("div", { class: "decide" }, problem, element("div", { class: "buttons" }, decline, sign)),
  );
  replace(main(), who(request), request.actions.map((action) => drawAction(action)), details(request), form);
}

function who(request) {
  const unnamed = { zh: "（未注明）", en: "(not named)" };
  return element(
    "section",
    { class: "card", "aria-label": say({ zh: "签名人与发起系统", en: "Signer and asking system" }) },
    element(
      "dl",
      { class: "who" },
      element("div", {}, element("dt", {}, { zh: "签名人", en: "Signer" }), element("dd", {}, request.signer || unnamed)),
      element(
        "div",
        {},
        element("dt", {}, { zh: "发起系统", en: "Asked for by" }),
        element("dd", {}, request.back.name, element("div", { class: "quiet" }, request.back.origin)),
      ),
    ),
  );
}

function drawAction(action) {
  const heading = element("h2", {}, action.title);
  if (action.items.length > 1) {
    heading.append(
      element("span", { class: "times" }, { zh: `共 ${action.items.length} 项`, en: `${action.items.length} of these` }),
    );
  }
  const card = element("section", { class: "card action" }, heading);
  const folded = action.foldsIds ? action.common.filter((field) => field.id) : [];
  const shown = action.common.filter((field) => !folded.includes(field));
  if (shown.length) card.append(fieldList(shown));
  if (folded.length) {
    card.append(element("details", {}, element("summary", {}, { zh: "编号与摘要", en: "Numbers and digests" }), fieldList(folded)));
  }
  if (action.items.length > 1) {
    card.append(element("ol", { class: "items" }, action.items.map((item) => element("li", {}, fieldList(item)))));
  }
  return card;
}

function fieldList(fields) {
  return element(
    "dl",
    { class: "fields" },
    fields.map((field) => [element("dt", {}, field.label), element("dd", {}, field.id ? shortened(field.id) : field.text)]).flat(),
  );
}

function details(request) {
  const row = (zh, en, value) => [element("dt", {}, { zh, en }), element("dd", {}, value)];
  return element(
    "details",
    { class: "card" },
    element("summary", {}, { zh: "技术细节", en: "Technical details" }),
    element(
      "dl",
      { class: "fields" },
      row("链编号", "Chain id", String(request.chainId)),
      row("序号", "Nonce", String(request.nonce)),
      row("有效至", "Valid until", dateTime(request.validUntil)),
      row("计算量上限", "Gas limit", String(request.gasLimit)),
      row("签名算法", "Signature scheme", say(SCHEMES[request.scheme])),
      row("签名账户", "Account", shortened(toHex(senderAddress(request.scheme, request.publicKey)))),
      row("待签摘要", "Hash to sign", shortened(toHex(request.hash))),
    ),
  );
}

function declined() {
  return new Refused("sign.refused", "签名人没有签名。", "The person declined.");
}

function refuse(back, state, error) {
  returnTo(back, { v: 1, state: state ?? "", error: { code: explain(error).code, message: explain(error).text.zh } });
}

start();
