/** Where results come from: the server that shows the page, or the files beside an exported one. */

class Served {
  canKeep = true;

  async #ask(path, options = {}) {
    const answer = await fetch(path, { ...options, headers: { "X-Infmap": "1", ...options.headers } });
    if (answer.ok) return answer;
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error?.message ?? `The server answered ${answer.status}.`);
  }

  async list() {
    return (await this.#ask("api/results")).json();
  }

  async result(id) {
    return (await this.#ask(`api/results/${id}`)).json();
  }

  async picture(result, kind) {
    return new Uint8Array(await (await this.#ask(`api/results/${result.id}/${kind}.png`)).arrayBuffer());
  }

  thumbnail(id) {
    return `api/results/${id}/thumbnail.jpg`;
  }

  map(result) {
    return `api/results/${result.id}/infection_map.png`;
  }

  async keep(id, opinion) {
    const headers = { "Content-Type": "application/json" };
    await this.#ask(`api/results/${id}/opinion`, { method: "PUT", headers, body: JSON.stringify(opinion) });
  }
}

/** An exported folder: a page that was opened as a file may run scripts beside it, and read no other file. */
class Exported {
  canKeep = false;
  #waiting = new Map();

  constructor() {
    globalThis.infmapGive = (name, content) => this.#waiting.get(name)?.(content);
  }

  #load(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const done = (settle) => (content) => {
        this.#waiting.delete(name);
        script.remove();
        settle(content);
      };
      this.#waiting.set(name, done(resolve));
      script.onerror = () => done(reject)(new Error(`data/${name}.js is missing beside this page.`));
      script.src = `data/${name}.js`;
      document.head.append(script);
    });
  }

  list() {
    return this.#load("list");
  }

  result(id) {
    return this.#load(id);
  }

  async picture(result, kind) {
    const text = atob(result.contents[kind]);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  thumbnail(id) {
    return `thumbnails/${id}.jpg`;
  }

  map(result) {
    return `maps/${result.id}.png`;
  }

  async keep() {}
}

export const source = document.body.dataset.source === "exported" ? new Exported() : new Served();
