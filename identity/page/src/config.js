// What differs between deployments: served by the signing origin itself as /config.json, same origin only.

import { Refused } from "./errors.js";

export async function loadConfig() {
  try {
    const response = await fetch("/config.json", { cache: "no-store", credentials: "same-origin" });
    if (!response.ok) throw new Error(String(response.status));
    return await response.json();
  } catch {
    throw new Refused("sign.no_config", "签名服务没有应答。请稍后重试。", "The signing service does not answer. Try again later.");
  }
}

// The directory's entry for an address, or null: whether its key is a passkey or stands in a signer.
export async function findCredential(addressHex) {
  try {
    const response = await fetch(`/api/credentials/${addressHex}`, { cache: "no-store", credentials: "same-origin" });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
