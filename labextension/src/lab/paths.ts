/** Turns an agent's paths into the server's. Pure. */
import type { Workspace } from '../protocol';

function normalise(path: string): string[] | null {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) {
        return null;
      }
    } else if (part !== '' && part !== '.') {
      parts.push(part);
    }
  }
  return parts;
}

function under(folder: readonly string[], path: readonly string[]): string[] | null {
  return folder.every((part, index) => path[index] === part) ? path.slice(folder.length) : null;
}

/**
 * A path relative to the server's root, or null where it lies outside.
 *
 * The workspace's folder is known both ways. Where its relative name is the end of its absolute one,
 * the rest is the root; where it is not (a link in between), only the folder itself is known.
 */
export function serverPath(workspace: Pick<Workspace, 'cwd' | 'path'>, path: string): string | null {
  const folder = normalise(workspace.path);
  const cwd = normalise(workspace.cwd);
  const wanted = normalise(path.startsWith('/') ? path : `${workspace.cwd}/${path}`);
  if (!folder || !cwd || !wanted) {
    return null;
  }
  const inside = under(cwd, wanted);
  if (inside) {
    return [...folder, ...inside].join('/');
  }
  const root = cwd.slice(0, cwd.length - folder.length);
  const linked = cwd.slice(root.length).join('/') !== folder.join('/');
  return linked ? null : (under(root, wanted)?.join('/') ?? null);
}
