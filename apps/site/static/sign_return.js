// Reads what the signing page put behind '#', takes it out of the address bar, and hands it to our own server.
"use strict";
(async () => {
  const box = document.getElementById("sign-return");
  const language = box.dataset.language;
  const say = (zh, en) => (language === "zh" ? zh : en);
  const fail = (text, next, code) => {
    box.querySelector("[data-when=working]").hidden = true;
    box.querySelector("[data-when=failed]").hidden = false;
    box.querySelector("[data-text]").textContent = text;
    box.querySelector("[data-next]").textContent = next;
    box.querySelector("[data-code]").textContent = code;
    const before = sessionStorage.getItem("shelian.before_signing");
    const back = box.querySelector("[data-back]");
    // A path of this site only: "//" would lead elsewhere.
    back.hidden = !/^\/(?!\/)/.test(before ?? "");
    if (!back.hidden) back.href = before;
  };
  let answer;
  try {
    const packed = location.hash.slice(1).replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    fail(say("这里没有收到签名。", "No signature arrived here."), say("请回到原来的页面重新办理。", "Go back to the page you came from and start again."), "sign.no_answer");
    return;
  }
  history.replaceState(null, "", location.pathname);
  if (answer.error) {
    fail(say("您没有签名，什么也没有提交。", "You did not sign; nothing was submitted."), say("需要时可回到原来的页面再签。", "You can go back and sign later."), String(answer.error.code));
    return;
  }
  try {
    const response = await fetch("/sign/finish", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ state: answer.state, raw: answer.raw }),
    });
    const result = await response.json();
    if (response.ok) location.replace(result.next);
    else fail(result.text?.[language] ?? result.message, result.next_step?.[language] ?? "", result.code);
  } catch {
    fail(say("连不上本系统。", "This system cannot be reached."), say("请检查网络后刷新此页。", "Check the network and try again."), "site.unreachable");
  }
})();
