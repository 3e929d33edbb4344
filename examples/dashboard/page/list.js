// A list of elements that follows a list of items. Elements that stay are not moved, so that they keep the focus.

export function template(id) {
  const { content } = document.getElementById(id);
  return () => content.firstElementChild.cloneNode(true);
}

export function follow(list, items, make, update) {
  const there = new Map([...list.children].map(element => [element.dataset.key, element]));
  const keys = new Set(items.map(item => String(item.key ?? item.id)));
  for (const [key, element] of there) if (!keys.has(key)) element.remove();
  let place = list.firstElementChild;
  items.forEach((item, index) => {
    const key = String(item.key ?? item.id);
    const element = there.get(key) ?? make();
    element.dataset.key = key;
    if (element === place) place = place.nextElementSibling;
    else list.insertBefore(element, place);
    update(element, item, items[index - 1]);
  });
}

// Says `text` in an element, if it does not say so already.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
