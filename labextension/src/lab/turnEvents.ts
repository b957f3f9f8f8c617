/** Reads a turn's events from the answer to its prompt, as server-sent events. Pure but for reading. */

/** What of an event is looked at here; the chat shows the rest. */
export interface TurnEvent {
  readonly type: string;
  readonly content?: readonly { readonly type: string; readonly text?: string }[];
  readonly stop_reason?: string;
  readonly title?: string;
  /** Of a question that is about a cell. */
  readonly change?: { readonly cell_id: string } | null;
  readonly error?: { readonly message: string } | null;
}

/** Whole events of the text read so far, and what is left of the last. */
export function splitEvents(text: string): { events: TurnEvent[]; rest: string } {
  const blocks = text.split('\n\n');
  const rest = blocks.pop() ?? '';
  const events = blocks.flatMap(block => {
    const data = block.split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6));
    return data.length ? [JSON.parse(data.join('\n')) as TurnEvent] : [];
  });
  return { events, rest };
}

/** Ends with the stream: the last event is then `turn_ended`, unless the connection was lost. */
export async function* turnEvents(response: Response): AsyncGenerator<TurnEvent> {
  if (!response.body) {
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>).getReader();
  let text = '';
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const { events, rest } = splitEvents(text + read.value);
    text = rest;
    yield* events;
  }
}

export function wordsOf({ content }: TurnEvent): string {
  return (content ?? []).map(({ text }) => text ?? '').join('');
}
