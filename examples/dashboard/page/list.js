// @ts-check
// Keeps a list of elements in step with a list of items. Elements that stay are not moved, so they keep the focus.

/**
 * Returns the element with this id, of any type.
 * @param {string} id
 * @returns {any}
 */
export const $ = id => document.getElementById(id);

/** @param {string} id */
export function template(id) {
  const { content } = $(id);
  return () => content.firstElementChild.cloneNode(true);
}

/**
 * @template {{ key: string | number } | { id: string | number }} Item
 * @param {Element} list
 * @param {Item[]} items
 * @param {() => HTMLElement} make
 * @param {(element: any, item: Item, before: Item | undefined) => void} update
 */
export function follow(list, items, make, update) {
  /** @param {Item} item */
  const keyOf = item => String('key' in item ? item.key : item.id);
  const children = /** @type {HTMLElement[]} */ ([...list.children]);
  const there = new Map(children.map(element => [element.dataset['key'], element]));
  const keys = new Set(items.map(keyOf));
  for (const [key, element] of there) if (!keys.has(String(key))) element.remove();
  let place = list.firstElementChild;
  items.forEach((item, index) => {
    const key = keyOf(item);
    const element = there.get(key) ?? make();
    element.dataset['key'] = key;
    if (element === place) place = element.nextElementSibling;
    else list.insertBefore(element, place);
    update(element, item, items[index - 1]);
  });
}

/**
 * Sets the text of an element, if it differs.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
