// navigator.credentials, and the forms the chain wants: raw r || s with low s instead of DER, x || y instead of SPKI.

import { concat, equal } from "./bytes.js";
import { Refused } from "./errors.js";
import { assertionSignature } from "./transaction.js";

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const USER_PRESENT = 0x01, USER_VERIFIED = 0x04, BACKUP_ELIGIBLE = 0x08;
const ES256 = -7;
// SubjectPublicKeyInfo of an uncompressed P-256 point, up to x.
const SPKI_HEAD = Uint8Array.from([
  0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
  0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
]);
const TIMEOUT = 180_000;

// The signature field of a scheme-1 transaction over `hash`, made by the person's passkey.
export async function signWithPasskey(hash, request, config) {
  const allowed = request.credentialId.length ? [{ type: "public-key", id: request.credentialId }] : [];
  const credential = await ask(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: hash,
        rpId: config.rp_id,
        allowCredentials: allowed,
        userVerification: "required",
        timeout: TIMEOUT,
      },
    }),
  );
  const authenticatorData = new Uint8Array(credential.response.authenticatorData);
  const clientData = new Uint8Array(credential.response.clientDataJSON);
  const raw = rawLowS(new Uint8Array(credential.response.signature));
  requireFlags(authenticatorData[32], USER_PRESENT | USER_VERIFIED);
  const signed = concat(authenticatorData, new Uint8Array(await crypto.subtle.digest("SHA-256", clientData)));
  if (!(await verifies(request.publicKey, raw, signed))) {
    throw new Refused("sign.other_passkey", "这不是该人员登记的通行密钥。请换一把再试。", "This is not the passkey that was enrolled. Try another one.");
  }
  return assertionSignature(authenticatorData, clientData, raw);
}

// A new passkey for one person: its public key (x || y) and credential id.
export async function createPasskey({ name, rpName, staff }, config) {
  const credential = await ask(() =>
    navigator.credentials.create({
      publicKey: {
        // Without attestation nobody checks this challenge; the signature that counts comes with the first transaction.
        challenge: crypto.getRandomValues(new Uint8Array(32)),
        rp: { id: config.rp_id, name: rpName },
        user: { id: crypto.getRandomValues(new Uint8Array(32)), name, displayName: name },
        pubKeyCredParams: [{ type: "public-key", alg: ES256 }],
        authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
        attestation: "none",
        timeout: TIMEOUT,
      },
    }),
  );
  const flags = new Uint8Array(credential.response.getAuthenticatorData())[32];
  requireFlags(flags, USER_PRESENT | USER_VERIFIED);
  if (staff && flags & BACKUP_ELIGIBLE) {
    throw new Refused(
      "sign.synced_passkey",
      "工作人员的通行密钥不能同步到云端。请改用安全密钥或仅存于本机的通行密钥。",
      "A staff passkey must not be synced. Use a security key or a passkey that stays on this device.",
    );
  }
  const spki = new Uint8Array(credential.response.getPublicKey() ?? new ArrayBuffer(0));
  if (credential.response.getPublicKeyAlgorithm() !== ES256 || spki.length !== 91 || !equal(spki.slice(0, 27), SPKI_HEAD)) {
    throw new Refused("sign.passkey_kind", "此设备的通行密钥类型不受支持。", "This kind of passkey is not supported.");
  }
  return { publicKey: spki.slice(27), credentialId: new Uint8Array(credential.rawId) };
}

// DER SEQUENCE { INTEGER r, INTEGER s } to r || s, 64 bytes, s in the lower half of the order.
export function rawLowS(der) {
  const malformed = () => new Refused("sign.signature_form", "设备返回的签名格式不正确。", "The device returned a malformed signature.");
  if (der.length < 8 || der[0] !== 0x30 || der[1] !== der.length - 2) throw malformed();
  const [r, afterR] = derInteger(der, 2, malformed);
  const [s, afterS] = derInteger(der, afterR, malformed);
  if (afterS !== der.length || r <= 0n || r >= ORDER || s <= 0n || s >= ORDER) throw malformed();
  return concat(word(r), word(s > ORDER / 2n ? ORDER - s : s));
}

function derInteger(der, at, malformed) {
  const size = der[at + 1], start = at + 2;
  if (der[at] !== 0x02 || !(size >= 1 && size <= 33) || start + size > der.length) throw malformed();
  let value = 0n;
  for (const byte of der.slice(start, start + size)) value = (value << 8n) | BigInt(byte);
  return [value, start + size];
}

function word(value) {
  const bytes = new Uint8Array(32);
  for (let i = 31; i >= 0; i -= 1, value >>= 8n) bytes[i] = Number(value & 0xffn);
  return bytes;
}

async function verifies(publicKey, raw, message) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  try {
    const key = await crypto.subtle.importKey("raw", concat(Uint8Array.of(4), publicKey), algorithm, false, ["verify"]);
    return await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, message);
  } catch {
    return false;
  }
}

function requireFlags(flags, wanted) {
  if ((flags & wanted) !== wanted) {
    throw new Refused("sign.user_not_verified", "设备没有验证您本人（指纹、面容或 PIN）。", "The device did not verify you (fingerprint, face or PIN).");
  }
}

async function ask(ceremony) {
  try {
    return await ceremony();
  } catch (error) {
    if (error.name === "NotAllowedError") {
      throw new Refused("sign.not_confirmed", "没有在设备上确认，或已超时。可以再试一次。", "It was not confirmed on the device, or it took too long. You can try again.");
    }
    throw new Refused("sign.device_failed", `设备没有完成操作（${error.name}）。`, `The device did not finish (${error.name}).`);
  }
}
