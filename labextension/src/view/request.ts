/** One request to our REST routes: JSON in, JSON out, a refusal in the server's own words. */

import { t } from './i18n.js';

export interface Requester {
  /** Absolute URL of `{base_url}agent-lab/api`. */
  readonly api: string;
  /** Adds credentials and the XSRF or token header. */
  fetch(input: string, init?: RequestInit): Promise<Response>;
}

/** An answer other than 2xx; `files`: those that a folder not trusted would have an agent obey. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    readonly files: readonly string[] = []
  ) {
    super(message);
  }
}

/** Raises Refused; status 0 where nothing answers. */
export async function request(
  host: Requester, method: string, path: string, body?: unknown
): Promise<unknown> {
  let answer: Response;
  try {
    answer = await host.fetch(`${host.api}/${path}`, {
      method, ...(body === undefined ? {} : { body: JSON.stringify(body) })
    });
  } catch {
    throw new Refused(0, 'unreachable', t('The server does not answer. Look whether it runs, then try again.'));
  }
  if (answer.status === 204) {
    return null;
  }
  // A proxy in between answers in HTML: then the status line is all there is.
  const said = (await answer.json().catch(() => null)) as
    { message?: unknown; reason?: unknown; files?: unknown } | null;
  if (answer.ok) {
    return said;
  }
  throw new Refused(
    answer.status,
    typeof said?.reason === 'string' ? said.reason : 'unexpected_answer',
    typeof said?.message === 'string' ? said.message : `${answer.status} ${answer.statusText}`,
    Array.isArray(said?.files) ? said.files.map(String) : []
  );
}
