/** What the server will add to the next prompt by itself: read when it matters, dropped for one prompt. */

import type { ContextItem } from '../protocol.js';
import type { Requester } from './request.js';
import { request } from './request.js';

/** How old a preview may get while somebody writes. */
const FRESH = 4000;

export class Since {
  item: ContextItem | undefined;
  /** Dropped by the person: the next prompt goes without. */
  dropped = false;

  private asking = false;
  private again = false;
  private askedAt = 0;

  constructor(
    private readonly host: Requester & { readonly sessionId: string },
    private readonly changed: () => void
  ) {}

  /** Read it anew, unless it was read a moment ago. What cannot be read is not shown. */
  async read(fresh = false): Promise<void> {
    if (this.asking) {
      this.again = this.again || fresh;
      return;
    }
    if (!fresh && Date.now() - this.askedAt < FRESH) {
      return;
    }
    this.asking = true;
    this.askedAt = Date.now();
    const answer = await request(this.host, 'GET', `sessions/${encodeURIComponent(this.host.sessionId)}/since`)
      .catch(() => null);
    this.asking = false;
    const item = itemOf(answer);
    if (item?.text !== this.item?.text) {
      this.item = item;
      this.changed();
    }
    if (this.again) {
      this.again = false;
      void this.read(true);
    }
  }

  drop(): void {
    this.dropped = true;
    this.changed();
  }

  /** A prompt leaves: what it goes without. What was told, or dropped, is no news for the next one. */
  leaves(): { readonly without?: readonly 'since'[] } {
    const dropped = this.dropped;
    this.dropped = false;
    this.item = undefined;
    return dropped ? { without: ['since'] } : {};
  }
}

function itemOf(answer: unknown): ContextItem | undefined {
  const item = (answer as { item?: unknown } | null)?.item as Partial<ContextItem> | null | undefined;
  return item?.type === 'since' && typeof item.text === 'string'
    ? { type: 'since', text: item.text, label: String(item.label ?? ''), notebook: String(item.notebook ?? '') }
    : undefined;
}
