// Demo only: choose one of the made-up people and enrol a passkey of this browser for them.

import { loadConfig } from "./config.js";
import { element, replace, say } from "./dom.js";
import { Refused } from "./errors.js";
import { readFragment, writeFragment } from "./fragment.js";
import { frame, main, NOT_ENROLLED, showDemoBanner, showRefusal } from "./frame.js";

const PENDING = "shelian.demo.person";
const RESIDENTS_DOMAIN = 2;

async function start() {
  let draw = () => replace(main(), element("p", { class: "quiet" }, { zh: "正在读取…", en: "Reading…" }));
  frame({ zh: "示范人员", en: "Demo people" }, () => draw());
  const show = (next) => {
    draw = next;
    draw();
  };
  try {
    const config = await loadConfig();
    showDemoBanner(config);
    const people = await (await must(fetch("/demo/people"))).json();
    const answer = location.hash.length > 1 ? readFragment(location.hash) : null;
    if (answer) await enrol(answer, people, show);
    else show(() => drawPeople(people));
  } catch (error) {
    show(() => showRefusal(error, () => location.assign(location.pathname), NOT_ENROLLED));
  }
}

function drawPeople(people) {
  const groups = [...new Set(people.map(groupOf))];
  replace(
    main(),
    element("p", {}, {
      zh: "选择一位示范人员，在这台设备上为其登记通行密钥；之后可用它在签名页签名。",
      en: "Choose a made-up person and create a passkey for them on this device; it then signs on the signing page.",
    }),
    groups.map((name) =>
      element(
        "details",
        { class: "card" },
        element("summary", {}, name),
        element("ul", { class: "people" }, people.filter((person) => groupOf(person) === name).map(drawPerson)),
      ),
    ),
  );
}

// Residents stand together, not under the office that enrolled them.
function groupOf(person) {
  return person.domain === RESIDENTS_DOMAIN ? say({ zh: "居民", en: "Residents" }) : person.organisation_name;
}

function drawPerson(person) {
  const passkeys = person.credentials.filter((credential) => credential.kind === "passkey").length;
  const state = { zh: `已登记 ${passkeys} 把`, en: `${passkeys} enrolled` };
  return element(
    "li",
    {},
    element("span", {}, person.name, passkeys ? element("span", { class: "quiet" }, " · ", state) : ""),
    element("button", { type: "button", class: "wide", onclick: () => register(person) }, { zh: "登记", en: "Enrol" }),
  );
}

function register(person) {
  sessionStorage.setItem(PENDING, person.id);
  const request = {
    v: 1,
    name: person.name,
    organisation: person.organisation_name,
    staff: person.domain === 1,
    return_to: `${location.origin}/demo`,
    state: person.id,
  };
  location.assign(`/register#${writeFragment(request)}`);
}

async function enrol(answer, people, show) {
  history.replaceState(null, "", location.pathname);
  const person = people.find((entry) => entry.id === answer.state);
  // Only what this tab asked for: a link from elsewhere enrols nobody.
  if (answer.error || !person || sessionStorage.getItem(PENDING) !== person.id) return show(() => drawPeople(people));
  sessionStorage.removeItem(PENDING);
  show(() =>
    replace(main(), element("p", {}, { zh: "两位登记员正在签署登记…", en: "Two registrars are signing the enrolment…" })),
  );
  await must(
    fetch("/demo/passkeys", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ person: person.id, public_key: answer.public_key, credential_id: answer.credential_id }),
    }),
  );
  show(() =>
    replace(
      main(),
      element(
        "section",
        { class: "card", role: "status" },
        element("h2", {}, { zh: "登记完成", en: "Enrolled" }),
        element("p", {}, { zh: `${person.name}的通行密钥已写入链上，可以签名了。`, en: `The passkey of ${person.name} stands on the chain and can sign.` }),
        element("button", { type: "button", class: "wide", onclick: () => location.assign(location.pathname) }, { zh: "返回名单", en: "Back to the list" }),
      ),
    ),
  );
}

async function must(promise) {
  const response = await promise.catch(() => null);
  if (response?.ok) return response;
  const answer = response ? await response.json().catch(() => ({})) : {};
  throw new Refused(
    answer.code ?? "sign.no_answer",
    "登记没有完成。请稍后再试；一个人最多登记 8 把密钥，用过的也算。",
    "The enrolment was not finished. Try again later; a person has at most 8 keys, retired ones counted.",
  );
}

start();
