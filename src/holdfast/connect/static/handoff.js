// Waits for the page that opened this window, at the one origin that this link was made for; tells it that it was heard,
// and goes on. Nobody there within five seconds: the link's own page, which asks whose account is being connected.
(() => {
  'use strict';
  const form = document.getElementById('handoff');
  const { opener, handoff } = form.elements;
  const own = () => location.replace(form.dataset.own);
  if (!window.opener) {
    own();
    return;
  }
  const late = setTimeout(own, 5000);
  window.addEventListener('message', (event) => {
    if (event.source !== window.opener || event.origin !== opener.value || handoff.value) return;
    const { handoffToken, redirectToken } = event.data || {};
    if (typeof handoffToken !== 'string' || typeof redirectToken !== 'string') return;
    clearTimeout(late);
    handoff.value = handoffToken;
    event.source.postMessage({ redirectToken }, opener.value);
    form.submit();
  });
})();
