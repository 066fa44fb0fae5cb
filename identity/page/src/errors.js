// Why the page refuses: a stable code and the two languages people read it in.

export class Refused extends Error {
  constructor(code, zh, en) {
    super(`${code}: ${en}`);
    this.code = code;
    this.text = { zh, en };
  }
}
