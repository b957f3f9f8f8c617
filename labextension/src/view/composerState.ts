/** What is being written: text, chips and attachments, kept in the browser until it is sent. */

import type { ContentBlock, ContextItem } from '../protocol.js';
import { textOf } from '../transcript.js';
import { attachedOf } from './attachments.js';
import type { Attached } from './attachments.js';
import { dropHeavy, keepHeavy, loadHeavy, sizeOf } from './heavy.js';

interface Draft {
  readonly text: string;
  readonly context: readonly ContextItem[];
}

/** A prompt on its way: it stays a draft until the server has said that it has it. */
interface Leaving extends Draft {
  readonly id: string;
  /** Something is attached, which the database keeps under the prompt's name. */
  readonly heavy?: boolean;
}

interface Stored extends Draft {
  readonly leaving: readonly Leaving[];
}

const SAVE_AFTER = 300;
/** Chips above this size are not kept over a reload: the browser's storage is small and shared. */
const LARGEST_DRAFT = 200_000;
/** Pictures are kept apart from the words, so that they are not written again with each word. */
const LARGEST_ATTACHED = 1_500_000;
export const PREFIX = 'agent-lab:draft:';
const ATTACHED = ':attached';

export class ComposerState {
  text = '';
  /** Grows with each change. */
  version = 0;
  context: readonly ContextItem[] = [];
  attached: readonly Attached[] = [];
  /** What is attached could not be kept: a reload would lose it. */
  unkept = false;

  private element: HTMLTextAreaElement | null = null;
  private wanted = false;
  private readonly key: string;
  private leaving: readonly Leaving[] = [];
  /** What was on its way when the page was left: whether it arrived, the log will say. */
  private left: readonly Leaving[];
  private readonly gone = new AbortController();
  private saving: ReturnType<typeof setTimeout> | undefined;
  private stored: readonly Attached[] = [];
  /** The database holds what is attached. */
  private heavy = false;

  constructor(private readonly sessionId: string, private readonly changed: () => void) {
    this.key = PREFIX + sessionId;
    const draft = load(this.key);
    this.text = draft.text;
    this.context = draft.context;
    this.left = draft.leaving;
    this.attached = this.stored = loadAttached(this.key + ATTACHED);
    void loadHeavy(sessionId).then(found => {
      if (found.length) {
        const alone = this.attached.length === 0;
        this.heavy = true;
        this.attached = [...found, ...this.attached];
        if (alone) {
          this.stored = this.attached;
        } else {
          this.saveAttached();
        }
        this.tell();
      }
    });
    // A reload may come sooner than the next save.
    window.addEventListener('pagehide', () => this.save(), { signal: this.gone.signal });
  }

  /** The element to focus, while it is on the page. */
  get field(): HTMLTextAreaElement | null {
    return this.element;
  }

  set field(element: HTMLTextAreaElement | null) {
    this.element = element;
    if (element && this.wanted) {
      this.wanted = false;
      element.focus();
    }
  }

  get empty(): boolean {
    return !this.text.trim() && !this.attached.length && !this.context.length;
  }

  /** What would be sent. */
  content(): ContentBlock[] {
    const text = this.text.trim();
    return [...(text ? [{ type: 'text', text } as const] : []), ...this.attached.map(each => each.block)];
  }

  setText(text: string): void {
    this.text = text;
    this.keep();
  }

  add(item: ContextItem): void {
    const same = JSON.stringify(item);
    if (!this.context.some(each => JSON.stringify(each) === same)) {
      this.context = [...this.context, item];
      this.keep();
    }
  }

  drop(item: ContextItem): void {
    this.context = this.context.filter(each => each !== item);
    this.keep();
  }

  attach(item: Attached): void {
    this.attached = [...this.attached, item];
    // At once: what takes long to be written cannot be left to the page's end.
    this.saveAttached();
    this.keep();
  }

  detach(item: Attached): void {
    this.attached = this.attached.filter(each => each !== item);
    this.saveAttached();
    this.keep();
  }

  clear(): void {
    this.text = '';
    this.context = [];
    this.attached = [];
    this.keep();
    this.save();
  }

  /** A prompt that was refused comes back, before what has been written since. */
  giveBack(content: readonly ContentBlock[], context: readonly ContextItem[]): void {
    this.text = [textOf(content), this.text].filter(Boolean).join('\n');
    this.attached = [...attachedOf(content), ...this.attached];
    this.context = [...context, ...this.context];
    this.keep();
  }

  leaves(id: string, content: readonly ContentBlock[], context: readonly ContextItem[]): void {
    const attached = attachedOf(content);
    if (attached.length) {
      void keepHeavy(this.nameOf(id), attached);
    }
    this.leaving = [...this.leaving, { id, text: textOf(content), context, heavy: attached.length > 0 }];
    this.save();
  }

  arrived(id: string): void {
    if (this.leaving.some(each => each.id === id && each.heavy)) {
      void dropHeavy(this.nameOf(id));
    }
    this.leaving = this.leaving.filter(each => each.id !== id);
    this.save();
  }

  private nameOf(promptId: string): string {
    return `${this.sessionId}:${promptId}`;
  }

  /** Make a draft again of what the page was left with and what is not in the log, now that it is read. */
  takeBack(isThere: (id: string) => boolean): void {
    if (this.left.length) {
      const lost = this.left.filter(({ id }) => !isThere(id));
      for (const { id } of this.left.filter(each => each.heavy)) {
        const name = this.nameOf(id);
        void (isThere(id) ? Promise.resolve([]) : loadHeavy(name)).then(found => {
          if (found.length) {
            this.attached = [...this.attached, ...found];
            this.keep();
            this.saveAttached();
          }
          return dropHeavy(name);
        });
      }
      this.left = [];
      this.text = [...lost.map(({ text }) => text), this.text].filter(Boolean).join('\n');
      this.context = [...lost.flatMap(({ context }) => context), ...this.context];
      this.keep();
    }
  }

  /** Before the first drawing there is nothing to focus yet: then as soon as there is. */
  focus(): void {
    this.wanted = this.element === null;
    this.element?.focus();
  }

  dispose(): void {
    this.gone.abort();
    this.save();
  }

  private keep(): void {
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(), SAVE_AFTER);
    this.tell();
  }

  private tell(): void {
    this.version += 1;
    this.changed();
  }

  private save(): void {
    clearTimeout(this.saving);
    const { text, context } = this;
    const leaving = [...this.left, ...this.leaving];
    const draft = JSON.stringify({ text, context, leaving } satisfies Stored);
    const bare = leaving.map(each => ({ ...each, context: [] }));
    store(this.key, !text && !context.length && !leaving.length ? undefined
      : draft.length <= LARGEST_DRAFT ? draft
      : JSON.stringify({ text, context: [], leaving: bare } satisfies Stored));
    this.saveAttached();
  }

  private saveAttached(): void {
    if (this.attached === this.stored) {
      return;
    }
    const { attached } = this;
    this.stored = attached;
    const small = attached.reduce((sum, each) => sum + sizeOf(each), 0) <= LARGEST_ATTACHED;
    store(this.key + ATTACHED, attached.length && small ? JSON.stringify(attached) : undefined);
    const told = (unkept: boolean): void => {
      if (this.attached === attached && this.unkept !== unkept) {
        this.unkept = unkept;
        this.tell();
      }
    };
    if (!small) {
      this.heavy = true;
      void keepHeavy(this.sessionId, attached).then(kept => told(!kept));
    } else {
      told(false);
      if (this.heavy) {
        this.heavy = false;
        void dropHeavy(this.sessionId);
      }
    }
  }
}

/** What the composer of a session that is opened next begins with. Resolves when it is kept. */
export async function leaveDraft(
  sessionId: string, content: readonly ContentBlock[], context: readonly ContextItem[]
): Promise<void> {
  store(PREFIX + sessionId, JSON.stringify({ text: textOf(content), context, leaving: [] } satisfies Stored));
  const attached = attachedOf(content);
  if (attached.length) {
    await keepHeavy(sessionId, attached);
  }
}

function store(key: string, value: string | undefined): void {
  try {
    if (value === undefined) {
      localStorage.removeItem(key);
    } else {
      localStorage.setItem(key, value);
    }
  } catch {
    // No storage, or none left: the draft lives as long as the page.
  }
}

function load(key: string): Stored {
  try {
    const value = JSON.parse(localStorage.getItem(key) ?? 'null') as Partial<Stored> | null;
    return {
      text: typeof value?.text === 'string' ? value.text : '',
      context: Array.isArray(value?.context) ? value.context : [],
      leaving: Array.isArray(value?.leaving) ? value.leaving : []
    };
  } catch {
    return { text: '', context: [], leaving: [] };
  }
}

function loadAttached(key: string): readonly Attached[] {
  try {
    const value = JSON.parse(localStorage.getItem(key) ?? 'null') as readonly Partial<Attached>[] | null;
    return Array.isArray(value)
      ? (value as readonly Partial<Attached>[]).flatMap(({ block, note, pasted }) =>
          block?.type === 'image' || block?.type === 'resource'
            ? [{ block, note: String(note ?? ''), pasted: pasted === true }]
            : [])
      : [];
  } catch {
    return [];
  }
}
