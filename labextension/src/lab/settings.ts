/** A setting of `schema/plugin.json` that is on or off, for views that know no JupyterLab. */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { Switch } from '../view/host';

import { PLUGIN_ID } from './commands';

export class SettingSwitch implements Switch {
  /** Off until the settings are there. */
  constructor(
    registry: ISettingRegistry,
    private readonly _name: string
  ) {
    registry.load(PLUGIN_ID).then(
      settings => {
        this._settings = settings;
        settings.changed.connect(this._tell, this);
        this._tell();
      },
      () => undefined
    );
  }

  get on(): boolean {
    return this._settings?.get(this._name).composite === true;
  }

  turn(on: boolean): void {
    void this._settings?.set(this._name, on);
  }

  onChange(listener: () => void): () => void {
    this._listeners.add(listener);
    return () => {
      this._listeners.delete(listener);
    };
  }

  private _tell(): void {
    for (const listener of this._listeners) {
      listener();
    }
  }

  private _settings: ISettingRegistry.ISettings | null = null;
  private readonly _listeners = new Set<() => void>();
}
