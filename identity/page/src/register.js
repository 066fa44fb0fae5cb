// The page that makes a passkey for the chain, for one person of one organisation, and gives its public key back.

import { toBase64Url, toHex } from "./bytes.js";
import { loadConfig } from "./config.js";
import { element, replace, say } from "./dom.js";
import { Refused } from "./errors.js";
import { allowedReturn, plainText, readFragment, requireFields } from "./fragment.js";
import { explain, frame, main, NOT_ENROLLED, returnTo, showDemoBanner, showRefusal } from "./frame.js";
import { createPasskey } from "./passkey.js";

const FIELDS = ["v", "name", "organisation", "staff", "return_to", "state"];

async function start() {
  let draw = () => replace(main(), element("p", { class: "quiet" }, { zh: "正在读取…", en: "Reading…" }));
  frame({ zh: "登记通行密钥", en: "Create a passkey" }, () => draw());
  let request;
  try {
    const config = await loadConfig();
    showDemoBanner(config);
    if (config.device !== "passkey") {
      throw new Refused("sign.other_device", "本页只用于通行密钥。", "This page is for passkeys only.");
    }
    request = checkRegistration(readFragment(location.hash), config);
    draw = () => drawRegistration(request, config);
  } catch (error) {
    draw = () => showRefusal(error, error.back && (() => goBack(error.back, "", error)), NOT_ENROLLED);
  }
  draw();
}

function checkRegistration(data, config) {
  const back = allowedReturn(data.return_to, config);
  try {
    requireFields(data, FIELDS);
    const state = plainText(data.state, 512), name = plainText(data.name, 80), organisation = plainText(data.organisation, 80);
    if (data.v !== 1 || !name || !organisation || typeof data.staff !== "boolean") {
      throw new Refused("sign.request_fields", "请求缺少内容或带有多余内容。", "The request lacks a field or has one too many.");
    }
    return { back, state, name, organisation, staff: data.staff };
  } catch (error) {
    error.back = back;
    throw error;
  }
}

function drawRegistration(request, config) {
  const problem = element("p", { class: "problem", role: "alert" });
  const create = element("button", { type: "button", class: "wide primary" }, { zh: "登记通行密钥", en: "Create the passkey" });
  create.addEventListener("click", async () => {
    problem.textContent = "";
    create.disabled = true;
    try {
      const created = await createPasskey({ ...request, rpName: say({ zh: "社链签名", en: "Shelian signing" }) }, config);
      returnTo(request.back, {
        v: 1,
        state: request.state,
        public_key: toHex(created.publicKey),
        credential_id: toBase64Url(created.credentialId),
      });
    } catch (error) {
      problem.textContent = say(explain(error).text);
      create.disabled = false;
    }
  });
  const decline = element(
    "button",
    { type: "button", class: "wide", onclick: () => goBack(request.back, request.state, new Refused("sign.refused", "没有登记。", "Declined.")) },
    { zh: "返回", en: "Go back" },
  );
  replace(
    main(),
    element(
      "section",
      { class: "card" },
      element(
        "dl",
        { class: "who" },
        element("div", {}, element("dt", {}, { zh: "姓名", en: "Name" }), element("dd", {}, request.name)),
        element("div", {}, element("dt", {}, { zh: "单位", en: "Organisation" }), element("dd", {}, request.organisation)),
      ),
    ),
    element(
      "section",
      { class: "card" },
      element("h2", {}, { zh: "这把密钥用来做什么", en: "What this passkey is for" }),
      element(
        "p",
        {},
        {
          zh: "今后您在业务系统里的每次签名，都用它确认。密钥由这台设备保管，指纹、面容和 PIN 不会离开设备。",
          en: "It confirms every signature you make from now on. The device keeps it; fingerprint, face and PIN never leave the device.",
        },
      ),
      element("p", { class: "quiet" }, { zh: "它只用于签名，不用于登录。请只在本人使用的设备上登记。", en: "It is for signing only, not for signing in. Create it only on a device that is yours." }),
    ),
    element("div", { class: "decide" }, problem, element("div", { class: "buttons" }, decline, create)),
  );
}

function goBack(back, state, error) {
  returnTo(back, { v: 1, state, error: { code: explain(error).code, message: explain(error).text.zh } });
}

start();
