/**
 * The page's words and icons: the server put all that the script may say into two templates, in the
 * page's language. Nothing is ever inserted as HTML that did not come with the page.
 */

/** `say(key, {name: value})` over the page's <template data-words>. */
export function wordsOf(root) {
  const template = root.querySelector('template[data-words]');
  const words = new Map([...template.content.querySelectorAll('[data-key]')].map(
    (node) => [node.dataset.key, node.textContent],
  ));
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? values[name] : place));
  return {
    say: (key, values = {}) => fill(words.get(key) || key, values),
    reason: (code) => fill(words.get(`reason.${code}`) || words.get('reason.unknown') || code, { code }),
  };
}

/** A fresh copy of an icon of <template data-icons>. */
export function iconOf(root, name) {
  const holder = root.querySelector('template[data-icons]').content.querySelector(`[data-icon="${name}"]`);
  return holder ? holder.firstElementChild.cloneNode(true) : root.createTextNode('');
}
