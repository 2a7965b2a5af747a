/** Drawings in the browser's own store (IndexedDB), so that a reload or a crash of the tab loses none. */

const STORE = "drawings";
const KEPT = 10; // a saved one too: whoever undoes it wants it back

const opened = new Promise((resolve, reject) => {
  const request = indexedDB.open("infmap-annotate", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "item" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
opened.catch(() => {}); // said by whoever uses it

async function inStore(mode, work) {
  const transaction = (await opened).transaction(STORE, mode);
  const request = work(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Keep `{ item, pixels, origin }`. */
export function keepDraft(draft) {
  return inStore("readwrite", (store) => store.put({ ...draft, kept_at: Date.now() }));
}

/** The draft of an item, or undefined. */
export function draftOf(item) {
  return inStore("readonly", (store) => store.get(item));
}

/** Drop all but the latest. */
export async function prune() {
  const drafts = await inStore("readonly", (store) => store.getAll());
  const old = drafts.sort((a, b) => b.kept_at - a.kept_at).slice(KEPT);
  for (const { item } of old) await inStore("readwrite", (store) => store.delete(item));
}
