// The signer's device: a key file on this machine, unlocked on this page, used by the signer's own process.

import { fromHex, toHex } from "./bytes.js";
import { element, replace } from "./dom.js";
import { Refused } from "./errors.js";
import { main } from "./frame.js";

const SESSION = "shelian.signer.session";

// Let the person admit a new app origin once. Nothing is asked where the device is a passkey: there the list is fixed.
export async function pairOrigin(returnTo, config, show) {
  let origin = null;
  try {
    origin = new URL(returnTo).origin;
  } catch {
    return;
  }
  if (config.device !== "key-file" || !/^https?:/.test(origin) || config.apps.some((app) => app.origin === origin)) return;
  await new Promise((resolve, reject) => show(() => drawPairing(origin, config, resolve, reject)));
  config.apps.push({ origin, name: origin });
}

function drawPairing(origin, config, resolve, reject) {
  const allow = element(
    "button",
    { type: "button", class: "wide primary", onclick: () => post("/api/page/pair", { origin }, config).then(resolve, reject) },
    { zh: "允许此网址", en: "Allow this site" },
  );
  replace(
    main(),
    element(
      "section",
      { class: "card" },
      element("h2", {}, { zh: "有新的网址要使用本机签名器", en: "A new site wants to use this signer" }),
      element("p", {}, element("strong", {}, origin)),
      element(
        "p",
        { class: "quiet" },
        {
          zh: "只允许您认识的业务系统；不认识就关闭本页。每次签名前仍会显示内容并要求确认。",
          en: "Allow only systems you know; else close this page. Every signature is still shown and confirmed.",
        },
      ),
      allow,
    ),
  );
}

// The key file that the request names. Throws Refused when this machine does not hold it.
export async function keyOf(request, config) {
  const response = await fetch("/api/page/keys", { cache: "no-store", credentials: "same-origin", headers: tokens(config) });
  const keys = response.ok ? await response.json() : [];
  const key = keys.find((entry) => entry.scheme === request.scheme && entry.public_key === toHex(request.publicKey));
  if (!key) {
    const error = new Refused("sign.key_not_here", "这台电脑的签名器里没有此人的密钥。", "The signer on this machine does not hold this person's key.");
    error.back = request.back;
    throw error;
  }
  return key;
}

export function keyFields(key, config) {
  if (key.unlocked) return { nodes: [], passphrase: () => "" };
  const input = element("input", { type: "password", id: "passphrase", autocomplete: "off", required: true });
  if (config.demo_passphrase) input.value = config.demo_passphrase;
  const hint = config.demo_passphrase
    ? element("p", { class: "quiet" }, { zh: `示范密钥，口令公开：${config.demo_passphrase}`, en: `A demo key; its passphrase is public: ${config.demo_passphrase}` })
    : [];
  return {
    nodes: [element("label", { for: "passphrase" }, { zh: "密钥口令", en: "Passphrase of the key" }), input, hint].flat(),
    passphrase: () => document.getElementById("passphrase").value,
  };
}

// The signature field over the request's hash, made by the signer's process from the whole request.
export async function signWithKeyFile(request, key, passphrase, config) {
  const answer = await post(
    "/api/page/sign",
    {
      passphrase,
      chain_id: request.chainId,
      nonce: request.nonce,
      valid_until: request.validUntil,
      gas_limit: request.gasLimit,
      calls: request.calls.map((call) => ({ to: call.toHex, data: call.dataHex })),
      scheme: request.scheme,
      public_key: toHex(request.publicKey),
      signing_hash: toHex(request.hash),
    },
    config,
  );
  return fromHex(answer.signature);
}

// The page's token keeps other sites out; the session keeps what one tab unlocked from everybody else on this machine.
function tokens(config) {
  let session = sessionStorage.getItem(SESSION);
  if (session === null) {
    session = toHex(crypto.getRandomValues(new Uint8Array(32)));
    sessionStorage.setItem(SESSION, session);
  }
  return { "x-shelian-token": config.page_token, "x-shelian-session": session };
}

async function post(path, body, config) {
  const response = await fetch(path, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json", ...tokens(config) },
    body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (answer.code === "key.wrong_passphrase") {
    throw new Refused(answer.code, "口令不正确。", "The passphrase is wrong.");
  }
  throw new Refused(answer.code ?? "sign.signer_failed", "签名器没有签名。", "The signer did not sign.");
}
