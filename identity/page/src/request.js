// The signing request of an app, checked field by field before anything of it is shown.

import { fromBase64Url, fromHex } from "./bytes.js";
import { Refused } from "./errors.js";
import { allowedReturn, plainText, requireFields } from "./fragment.js";

const FIELDS = [
  "v", "chain_id", "nonce", "valid_until", "gas_limit", "calls", "scheme", "public_key", "credential_id", "signer",
  "return_to", "state",
];
// What each scheme is called, and how long its public keys are. The page signs with 1 itself, the signer with all.
export const SCHEMES = {
  1: { zh: "通行密钥", en: "Passkey (WebAuthn ES256)", keyBytes: 64 },
  2: { zh: "Ed25519", en: "Ed25519", keyBytes: 32 },
  3: { zh: "ES256", en: "ES256", keyBytes: 64 },
  4: { zh: "国密 SM2", en: "SM2", keyBytes: 64 },
  5: { zh: "抗量子 ML-DSA-65", en: "Post-quantum ML-DSA-65", keyBytes: 1952 },
};
const MAX_CALLS = 100;
const MAX_CALL_BYTES = 32_768;
const MAX_GAS = 30_000_000;
const MAX_VALIDITY = 86_400;

// `now` in seconds since the epoch. Throws Refused; returns the request with its bytes decoded.
export function checkRequest(data, config, now) {
  // First where an answer may go: an error, too, is told to nobody else.
  const back = allowedReturn(data.return_to, config);
  const refuse = (code, zh, en) => {
    const error = new Refused(code, zh, en);
    error.back = back;
    return error;
  };
  try {
    requireFields(data, FIELDS);
    plainText(data.signer, 80);
    plainText(data.state, 512);
  } catch (error) {
    error.back = back;
    throw error;
  }
  if (data.v !== 1) throw refuse("sign.request_version", "请求的版本不受支持。", "This version of requests is not known.");
  if (data.chain_id !== config.chain_id) {
    throw refuse("sign.other_chain", "请求属于另一条链。", "The request is for another chain.");
  }
  if (!isWhole(data.nonce, 0, Number.MAX_SAFE_INTEGER) || !isWhole(data.gas_limit, 21_000, MAX_GAS)) {
    throw refuse("sign.request_number", "请求中的数字超出范围。", "A number of the request is out of range.");
  }
  if (!isWhole(data.valid_until, 0, Number.MAX_SAFE_INTEGER) || data.valid_until <= now) {
    throw refuse("sign.expired", "请求已过期。请回到业务系统重新发起。", "The request has expired. Start again from the system you work in.");
  }
  if (data.valid_until > now + MAX_VALIDITY) {
    throw refuse("sign.valid_too_long", "请求的有效期超过 24 小时。", "The request would stay valid for more than 24 hours.");
  }
  if (!config.schemes.includes(data.scheme)) {
    const scheme = Object.hasOwn(SCHEMES, data.scheme) ? SCHEMES[data.scheme] : { zh: "未知种类", en: "unknown kind" };
    throw refuse(
      "sign.other_device",
      `这种签名凭证（${scheme.zh}）不能在本页使用。请在存有密钥文件的电脑上用本机签名器签名。`,
      `This kind of credential (${scheme.en}) cannot be used on this page. Sign with the signer on the machine that holds the key file.`,
    );
  }
  let publicKey, credentialId;
  try {
    publicKey = fromHex(data.public_key);
    credentialId = fromBase64Url(data.credential_id);
    if (publicKey.length !== SCHEMES[data.scheme].keyBytes) throw new Error("key length");
  } catch {
    throw refuse("sign.request_key", "请求中的公钥或凭证编号不正确。", "The public key or credential id of the request is malformed.");
  }
  return {
    chainId: data.chain_id,
    nonce: data.nonce,
    validUntil: data.valid_until,
    gasLimit: data.gas_limit,
    calls: checkCalls(data.calls, refuse),
    scheme: data.scheme,
    publicKey,
    credentialId,
    signer: data.signer,
    state: data.state,
    back,
  };
}

function checkCalls(calls, refuse) {
  if (!Array.isArray(calls) || calls.length < 1 || calls.length > MAX_CALLS) {
    throw refuse("sign.call_count", "一次可签 1 至 100 项操作。", "Between 1 and 100 actions can be signed at once.");
  }
  const seen = new Set();
  return calls.map((call) => {
    let to, data;
    try {
      if (Object.keys(call).sort().join() !== "data,to") throw new Error("fields");
      to = fromHex(call.to);
      data = fromHex(call.data);
      if (to.length !== 20 || data.length < 4 || data.length > MAX_CALL_BYTES) throw new Error("length");
    } catch {
      throw refuse("sign.request_call", "请求中有一项操作的格式不正确。", "An action of the request is malformed.");
    }
    const key = `${call.to}${call.data}`;
    if (seen.has(key)) {
      throw refuse("sign.duplicate_call", "请求中有两项完全相同的操作。", "Two actions of the request are exactly the same.");
    }
    seen.add(key);
    return { to, data, toHex: call.to, dataHex: call.data };
  });
}

function isWhole(value, least, most) {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}
