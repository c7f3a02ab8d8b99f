// <holdfast-connections>: a user's connected accounts, in a page of the app's. No dependency, no build.
//
//   <script src="https://holdfast.example/widgets/holdfast-connections.js"></script>
//   <holdfast-connections></holdfast-connections>
//   document.querySelector('holdfast-connections').token = async () => (await fetch('/my-widget-token')).text();
//
// Attributes: `token`, or the property of that name, which may be a function that returns one (asked again when a token
// has ended); `base-url`, else the origin that this script came from; `organization`, which the token must then be for;
// `connections`, names to show, with spaces; `lang`; `theme` light or dark, else as the browser prefers.
// Property `texts`: words of your own in place of those below. Events: connected, disconnected {name, id}, error {message, code}.
(() => {
  'use strict';
  const script = document.currentScript ?? document.querySelector('script[src*="/widgets/holdfast-connections.js"]');
  const HOME = script?.src ? new URL(script.src).origin : location.origin;
  const WAIT_SECONDS = 600; // as long as an authorization lives

  const TEXTS = {}; // by language: the server puts its catalogue here

  // Adopted, not inline: a style sheet of the script's own needs no exception in the page's Content-Security-Policy.
  const STYLE = new CSSStyleSheet();
  STYLE.replaceSync(`
    :host { --ground: #fff; --text: #16191f; --quiet: #596273; --line: #dfe3ea; --accent: #1b5bd7; --on: #fff; --good: #157347;
      --bad: #b3261e; display: block; color: var(--text); font: 15px/1.45 system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
    @media (prefers-color-scheme: dark) { :host(:not([theme=light])) { --ground: #191d24; --text: #e8ebf0; --quiet: #9aa4b5;
      --line: #2c323d; --accent: #7aa7ff; --on: #0b1220; --good: #5fd39a; --bad: #ff8a80; } }
    :host([theme=dark]) { --ground: #191d24; --text: #e8ebf0; --quiet: #9aa4b5; --line: #2c323d; --accent: #7aa7ff;
      --on: #0b1220; --good: #5fd39a; --bad: #ff8a80; }
    * { box-sizing: border-box; }
    ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: 12px; background: var(--ground); }
    li { padding: .9rem 1rem; } li + li { border-top: 1px solid var(--line); }
    .line { display: flex; gap: .75rem; align-items: center; flex-wrap: wrap; } .line + .line { margin-top: .6rem; }
    .grow { flex: 1; min-width: 9rem; overflow-wrap: anywhere; }
    .mark { display: grid; place-items: center; width: 2.25rem; height: 2.25rem; border: 2px solid var(--line); border-radius: 9px;
      font-weight: 700; }
    h3 { margin: 0; font-size: 1rem; } p { margin: .1rem 0; } .quiet { color: var(--quiet); font-size: .875rem; }
    .state { font-weight: 600; font-size: .9rem; } .state.connected { color: var(--good); }
    .state.needs_reauthorization, .wrong { color: var(--bad); }
    button, a.button { padding: .45rem .8rem; border: 1px solid var(--line); border-radius: 8px; background: transparent;
      color: var(--text); font: inherit; font-size: .9rem; cursor: pointer; text-decoration: none; }
    .main { border-color: var(--accent); background: var(--accent); color: var(--on); font-weight: 600; }
    :is(button, a, input, select, textarea):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    label { display: block; margin-top: .7rem; font-weight: 600; font-size: .9rem; }
    input, select, textarea { width: 100%; margin-top: .25rem; padding: .5rem .65rem; border: 1px solid var(--quiet); border-radius: 8px;
      background: var(--ground); color: var(--text); font: inherit; }
    [aria-invalid] { border-color: var(--bad); } form .line { margin-top: .8rem; }
    .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  `);

  const el = (name, facts = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(facts)) {
      if (key === 'onclick' || key === 'onsubmit') made[key] = value;
      else if (value !== false && value != null) made.setAttribute(key, value === true ? '' : value);
    }
    made.append(...children.filter((child) => child != null && child !== false && child !== '' && child !== 0));
    return made;
  };

  // As RFC 4647 looks a language up: pt-BR, else pt, else English.
  const wordsOf = (lang) => {
    for (let tag = lang || 'en'; tag; tag = tag.slice(0, Math.max(0, tag.lastIndexOf('-')))) {
      const known = Object.keys(TEXTS).find((name) => name.toLowerCase() === tag.toLowerCase());
      if (known) return TEXTS[known];
    }
    return TEXTS.en;
  };

  class HoldfastConnections extends HTMLElement {
    static observedAttributes = ['token', 'base-url', 'organization', 'connections', 'lang'];

    #root = this.attachShadow({ mode: 'open' });
    #say = el('p', { class: 'hidden', role: 'status', 'aria-live': 'polite' });
    #body = el('div');
    #source = null;
    #token = '';
    #texts = {};
    #app = '';
    #rows = null;
    #problem = '';
    #doing = {}; // by connection's name: {kind: waiting | form | sure, ...}
    #timer = 0;
    #asked = 0;
    #look = () => { if (document.visibilityState === 'visible') this.refresh(true); };

    constructor() {
      super();
      this.#root.adoptedStyleSheets = [STYLE];
      this.#root.append(this.#say, this.#body);
    }

    get token() { return this.#source ?? this.getAttribute('token'); }
    set token(value) { this.#source = value; this.#token = ''; this.#again(); }
    get texts() { return this.#texts; }
    set texts(value) { this.#texts = value ?? {}; this.#draw(); }
    connectedCallback() {
      addEventListener('focus', this.#look);
      document.addEventListener('visibilitychange', this.#look);
      this.#again();
    }

    disconnectedCallback() {
      removeEventListener('focus', this.#look);
      document.removeEventListener('visibilitychange', this.#look);
      clearTimeout(this.#timer);
      for (const doing of Object.values(this.#doing)) doing.end?.();
    }

    attributeChangedCallback(name, before, after) {
      if (before !== after && name === 'token') this.#token = '';
      if (before !== after && this.isConnected) this.#again();
    }

    /** Ask for the list again. */
    async refresh(quietly = false) {
      if (!this.isConnected || !this.token) return;
      const turn = ++this.#asked;
      try {
        const found = await this.#call('GET', 'connections');
        if (turn !== this.#asked) return;
        const wanted = this.getAttribute('organization');
        if (wanted && wanted !== found.organization_id) throw new Error(this.#text('wrongOrganization'));
        const names = (this.getAttribute('connections') ?? '').split(/\s+/).filter(Boolean);
        const rows = found.connections.filter(({ name }) => !names.length || names.includes(name));
        const same = this.#rows && !this.#problem && JSON.stringify(rows) === JSON.stringify(this.#rows);
        this.#rows = rows;
        this.#app = found.app;
        this.#problem = '';
        this.#settle();
        if (!same || !quietly) this.#draw();
      } catch (error) {
        if (turn !== this.#asked) return;
        if (quietly && this.#rows && !error.ended) return;
        this.#rows = null; // nothing of anybody stays to be seen
        this.#fail(error);
      }
    }

    #again() {
      this.#rows = null;
      this.#problem = '';
      if (!this.isConnected) return;
      this.#draw();
      queueMicrotask(() => this.refresh());
    }

    async #bearer(fresh) {
      if (!this.#token || fresh) {
        const source = this.token;
        this.#token = String((await (typeof source === 'function' ? source() : source)) ?? '').trim();
      }
      return this.#token;
    }

    async #call(method, path, body) {
      const base = this.getAttribute('base-url') || HOME;
      const ask = (token) => fetch(`${base}/widgets/api/${path}`, {
        method,
        cache: 'no-store',
        credentials: 'omit',
        headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
        body: body && JSON.stringify(body),
      });
      const token = await this.#bearer();
      let reply = await ask(token);
      if (reply.status === 403 && typeof this.token === 'function') {
        const next = await this.#bearer(true);
        if (next !== token) reply = await ask(next);
      }
      const found = await reply.json().catch(() => ({}));
      if (reply.ok) return found;
      const ended = reply.status === 403;
      const words = ended ? this.#text('ended') : this.#failure(found.code) || found.message || this.#text('failed');
      throw Object.assign(new Error(words), { code: found.code ?? '', fields: found.errors ?? [], ended });
    }

    #text(name, values = {}) {
      const text = this.#texts[name] ?? wordsOf(this.getAttribute('lang') || document.documentElement.lang || navigator.language)[name] ?? '';
      return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');
    }

    // The server's own sentences are English: its codes are what the catalogue knows. "" for a code that it does not.
    #failure(code) { return this.#text(`failure.${code}`, { app: this.#app || location.hostname }); }

    #fault(row, { field, code, message }) {
      const item = row.fields.find(({ name }) => name === field);
      const known = { missing_config: 'required', invalid_config: 'invalid' }[code] ?? code;
      const name = known === 'invalid' && item?.options.length ? 'choose' : known;
      return ((item || name === 'refused' || name === 'away') && this.#text(`wrong.${name}`, { label: item?.label, provider: row.title })) || message;
    }

    #tell(text) { this.#say.textContent = text; }
    #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true })); }

    #fail(error) {
      this.#problem = error.message || this.#text('failed');
      this.#draw();
      this.#emit('error', { message: this.#problem, code: error.code ?? '' });
    }

    // What is being waited for has come about once an account is connected that was not, or was so at another time.
    #settle() {
      for (const [name, doing] of Object.entries(this.#doing)) {
        if (doing.kind !== 'waiting') continue;
        const row = this.#rows.find((item) => item.name === name);
        const made = row?.accounts.find((item) => item.state === 'connected' && doing.before[item.id] !== item.updated_at);
        if (made) {
          doing.end();
          delete this.#doing[name];
          this.#tell(this.#text('done', { name: row.title }));
          this.#emit('connected', { name, id: made.id });
        }
      }
    }

    #wait() {
      clearTimeout(this.#timer);
      const waiting = Object.entries(this.#doing).filter(([, doing]) => doing.kind === 'waiting');
      for (const [name, doing] of waiting) {
        if (Date.now() > doing.until) this.#stop(name);
      }
      if (!waiting.length || !this.isConnected) return;
      const since = Math.min(...waiting.map(([, doing]) => Date.now() - doing.since));
      this.#timer = setTimeout(() => this.refresh(true).then(() => this.#wait()), since < 60_000 ? 1500 : 5000);
    }

    #stop(name) {
      this.#doing[name]?.end?.();
      delete this.#doing[name];
      this.#draw(name);
    }

    // The window is opened at once, as browsers allow it only in a click; its address comes after.
    async #consent(row, account, values = {}) {
      const base = this.getAttribute('base-url') || HOME;
      const popup = open(`${base}/pipes/redirecting`, '_blank');
      const before = Object.fromEntries(row.accounts.filter((item) => item.state === 'connected').map((item) => [item.id, item.updated_at]));
      const doing = { kind: 'waiting', before, since: Date.now(), until: Date.now() + WAIT_SECONDS * 1000, end() {} };
      try {
        const handed = await this.#call('POST', `connections/${encodeURIComponent(row.name)}/authorize`, { account_id: account?.id ?? null, values });
        const origin = new URL(handed.url).origin;
        if (popup) {
          const payload = { handoffToken: handed.handoff_token, redirectToken: handed.redirect_token };
          const heard = (event) => { if (event.origin === origin && event.data?.redirectToken === handed.redirect_token) doing.end(); };
          const knock = setInterval(() => popup.postMessage(payload, origin), 100);
          const over = setTimeout(() => doing.end(), 15_000);
          addEventListener('message', heard);
          doing.end = () => { clearInterval(knock); clearTimeout(over); removeEventListener('message', heard); };
          popup.location = handed.url;
        } else {
          doing.blocked = handed.url;
        }
        this.#doing[row.name]?.end?.();
        this.#doing[row.name] = doing;
        this.#tell(this.#text(popup ? 'waiting' : 'blocked'));
        this.#draw(row.name);
        this.#wait();
      } catch (error) {
        popup?.close();
        this.#doing[row.name] = { kind: 'problem', message: error.message, end() {} };
        this.#tell(error.message);
        this.#draw(row.name);
        this.#emit('error', { message: error.message, code: error.code ?? '', name: row.name });
      }
    }

    async #submit(row, doing, form) {
      doing.values = Object.fromEntries(row.fields.map(({ name }) => [name, form.elements[`field-${name}`].value]));
      doing.wrong = Object.fromEntries(
        row.fields.filter((item) => item.required && !doing.values[item.name].trim()).map(({ name }) => [name, this.#text('required')]),
      );
      if (!Object.keys(doing.wrong).length) {
        if (row.method === 'oauth') return this.#consent(row, doing.account, doing.values);
        const given = Object.fromEntries(Object.entries(doing.values).filter(([, value]) => value));
        const button = form.querySelector('button');
        button.disabled = true;
        try {
          const made = await this.#call('PUT', `connections/${encodeURIComponent(row.name)}/credential`, { values: given, account_id: doing.account?.id ?? null });
          delete this.#doing[row.name];
          this.#tell(this.#text('done', { name: row.title }));
          this.#emit('connected', { name: row.name, id: made.id });
          await this.refresh();
          return this.#focus(row.name);
        } catch (error) {
          doing.wrong = Object.fromEntries((error.fields ?? []).map((fault) => [fault.field, this.#fault(row, fault) || error.message]));
          if (!Object.keys(doing.wrong).some((name) => row.fields.some((item) => item.name === name))) doing.wrong = { '': doing.wrong[''] || error.message };
          this.#emit('error', { message: error.message, code: error.code ?? '', name: row.name });
        }
      }
      this.#tell(Object.values(doing.wrong).join(' '));
      this.#draw(row.name);
      this.#root.querySelector('[aria-invalid]')?.focus();
      return undefined;
    }

    async #disconnect(row, account) {
      try {
        await this.#call('DELETE', `accounts/${encodeURIComponent(account.id)}`);
        delete this.#doing[row.name];
        this.#tell(this.#text('gone', { name: row.title }));
        this.#emit('disconnected', { name: row.name, id: account.id });
      } catch (error) {
        this.#doing[row.name] = { kind: 'problem', message: error.message };
        this.#emit('error', { message: error.message, code: error.code ?? '', name: row.name });
      }
      await this.refresh();
      this.#focus(row.name);
    }

    #focus(name) {
      const row = [...this.#root.querySelectorAll('li')].find((item) => item.dataset.name === name);
      (row?.querySelector('form input, form select, form textarea') ?? row?.querySelector('button'))?.focus();
    }

    #begin(row, kind, account) {
      if (kind === 'form' && !row.fields.length) { this.#consent(row, account); return; }
      this.#doing[row.name]?.end?.();
      this.#doing[row.name] = { kind, account, values: {}, wrong: {} };
      this.#draw(row.name);
    }

    #draw(name) {
      const active = this.#root.activeElement;
      const held = active?.closest('li')?.dataset.name;
      if (active?.closest('form') && this.#doing[held]?.kind === 'form' && held !== name && this.#rows) return; // nobody's typing is disturbed
      const scroll = this.#rows
        ? this.#rows.length ? el('ul', { 'aria-label': this.#text('title') }, ...this.#rows.map((row) => this.#row(row))) : el('p', { class: 'quiet' }, this.#text('empty'))
        : this.#problem
          ? el('div', { role: 'alert' }, el('p', { class: 'wrong' }, this.#problem), el('button', { type: 'button', onclick: () => this.#again() }, this.#text('retry')))
          : el('p', { class: 'quiet' }, this.#text('loading'));
      this.#body.replaceChildren(scroll);
      this.#body.setAttribute('aria-busy', String(!this.#rows && !this.#problem));
      if (name ?? held) this.#focus(name ?? held);
    }

    #button(text, main, onclick, label) {
      return el('button', { type: 'button', class: main && 'main', 'aria-label': label && `${text} ${label}`, onclick }, text);
    }

    #row(row) {
      const doing = this.#doing[row.name];
      const can = row.connects && !row.accounts.length && !doing;
      const head = el('div', { class: 'line' },
        el('span', { class: 'mark', 'aria-hidden': 'true' }, row.title.slice(0, 1).toUpperCase()),
        el('div', { class: 'grow' }, el('h3', {}, row.title), row.description && el('p', { class: 'quiet' }, row.description),
          !row.accounts.length && el('p', { class: 'quiet' }, this.#text('none'))),
        can && this.#button(this.#text('connect'), true, () => this.#begin(row, 'form'), row.title));
      const item = el('li', {}, head, ...row.accounts.map((account) => this.#account(row, account, doing)));
      item.dataset.name = row.name;
      if (doing?.kind === 'waiting') item.append(this.#waiting(row, doing));
      if (doing?.kind === 'form') item.append(this.#form(row, doing));
      if (doing?.kind === 'sure') item.append(this.#sure(row, doing));
      if (doing?.kind === 'problem') item.append(el('div', { class: 'line' }, el('p', { class: 'wrong grow' }, doing.message), this.#button(this.#text('retry'), false, () => this.#stop(row.name))));
      return item;
    }

    #account(row, account, doing) {
      const keyed = row.method !== 'oauth';
      const again = row.connects && account.state !== 'paused' && (account.state !== 'connected' || account.missing.length || keyed);
      const scopes = account.missing.map(({ scope, help }) => help || scope).join('; ');
      const named = [account.label, account.last4 && `····${account.last4}`].filter(Boolean).join(' ');
      return el('div', { class: 'line' },
        el('div', { class: 'grow' },
          el('p', { class: `state ${account.state}` }, this.#text(account.state)),
          named && el('p', { class: 'quiet' }, named),
          account.state !== 'connected' && account.detail && el('p', { class: 'quiet' }, account.detail),
          scopes && el('p', { class: 'quiet' }, this.#text('missing', { scopes }))),
        again && !doing && this.#button(this.#text(keyed && account.state === 'connected' ? 'replace' : 'reconnect'), account.state !== 'connected', () => this.#begin(row, 'form', account), row.title),
        !doing && this.#button(this.#text('disconnect'), false, () => this.#begin(row, 'sure', account), row.title));
    }

    #waiting(row, doing) {
      return el('div', { class: 'line' },
        el('p', { class: 'quiet grow' }, this.#text(doing.blocked ? 'blocked' : 'waiting')),
        doing.blocked && el('a', { class: 'button main', href: doing.blocked, target: '_blank', rel: 'opener' }, this.#text('open')),
        this.#button(this.#text('stop'), false, () => this.#stop(row.name), row.title));
    }

    #sure(row, doing) {
      return el('div', { class: 'line', role: 'group' },
        el('p', { class: 'grow' }, this.#text('sure', { name: row.title })),
        this.#button(this.#text('disconnect'), true, () => this.#disconnect(row, doing.account), row.title),
        this.#button(this.#text('cancel'), false, () => this.#stop(row.name), row.title));
    }

    #form(row, doing) {
      const fields = row.fields.flatMap((item) => {
        const id = `field-${item.name}`;
        const wrong = doing.wrong[item.name];
        const about = [item.hint && `hint-${id}`, wrong && `wrong-${id}`].filter(Boolean).join(' ');
        const facts = {
          id, name: id, 'aria-describedby': about || false, 'aria-invalid': wrong ? 'true' : false, placeholder: item.example || false,
          'aria-required': item.required ? 'true' : false, autocomplete: item.secret ? 'new-password' : 'off', spellcheck: 'false', autocapitalize: 'off',
        };
        let control;
        if (item.input === 'select') control = el('select', facts, el('option', { value: '' }), ...item.options.map((option) => el('option', { value: option }, option)));
        else if (item.input === 'textarea') control = el('textarea', { ...facts, rows: 4 });
        else control = el('input', { ...facts, type: item.secret ? 'password' : 'text' });
        control.value = doing.values[item.name] ?? '';
        return [
          el('label', { for: id }, item.label, !item.required && el('span', { class: 'quiet' }, ` (${this.#text('optional')})`)),
          item.hint && el('p', { class: 'quiet', id: `hint-${id}` }, item.hint),
          control,
          wrong && el('p', { class: 'wrong', id: `wrong-${id}` }, wrong),
        ];
      });
      const form = el('form', { novalidate: true, 'aria-label': `${this.#text('connect')} ${row.title}`, onsubmit: (event) => { event.preventDefault(); this.#submit(row, doing, form); } },
        doing.wrong[''] && el('p', { class: 'wrong' }, doing.wrong['']),
        ...fields,
        el('div', { class: 'line' }, el('button', { class: 'main' }, this.#text(row.method === 'oauth' ? 'connect' : 'save')),
          this.#button(this.#text('cancel'), false, () => this.#stop(row.name), row.title)));
      return form;
    }
  }

  if (!customElements.get('holdfast-connections')) customElements.define('holdfast-connections', HoldfastConnections);
})();
