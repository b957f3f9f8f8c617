/** A component that draws again only when one of its properties is another object. */

import { Component, h } from 'preact';
import type { ComponentChild, ComponentType, FunctionComponent } from 'preact';

export function memo<P extends object>(draw: FunctionComponent<P>): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const now = this.props as Readonly<P>;
      for (const name in next) {
        if (next[name] !== now[name]) {
          return true;
        }
      }
      return Object.keys(next).length !== Object.keys(now).length;
    }
    override render(): ComponentChild {
      return h(draw as FunctionComponent<object>, this.props);
    }
  };
}
